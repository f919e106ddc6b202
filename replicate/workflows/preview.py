"""What a campaign would train, what is done, and what the rest takes. Writes nothing."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from replicate import machine
from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.plan import forecast
from replicate.plan.campaign import Campaign, campaign_names, open_campaign
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Run
from replicate.records.record import sound_record
from replicate.text import listed


def preview(
    campaign: Campaign,
    retry_failed: bool,
    workers: int | None,
    threads: int | None,
    calibrate: bool,
) -> str:
    """A line for each cell with runs to do, then the campaign's."""
    state = campaign.look()
    left = state.left(retry_failed)
    size = machine.share(len(left), machine.gpus(), workers, threads)
    if not (left and calibrate):
        speeds, source = _known(campaign, left)
    else:
        from replicate.dispatch import calibration

        speeds, source = calibration.calibrate([run.spec for run in left], *size), ""
    lines = [
        *forecast.lines(left, speeds),
        f"campaign {campaign.name}: {state.summary()}; {len(left)} to do{scope(campaign)}.",
        forecast.cost(left, speeds, size[0]) + source,
        *(f"not on this machine: {lack}" for lack in _lacks(left)),
    ]
    return "\n".join(lines)


def scope(campaign: Campaign) -> str:
    """That more belongs to the campaign than a command is about."""
    if not campaign.partial:
        return ""
    return f", of those named here; {campaign.whole.look().summary()} in all"


def _lacks(left: Sequence[Run]) -> list[str]:
    """For the runs to do. Asked only of precisions that some machines lack: to ask takes seconds."""
    special = {run.spec.training.precision for run in left} - {"float32", "auto"}
    return list(lacking(special).values()) if special else []


def _known(campaign: Campaign, left: Sequence[Run]) -> tuple[Speeds, str]:
    """As this campaign's runs went; else as those of the one that is most like it, and which that is."""
    if not left:
        return {}, ""
    if own := forecast.recorded(campaign.whole.look().done, campaign.runs_folder):
        return own, ""
    wanted = {forecast.kind(run.spec) for run in left}
    others = [_of_another(campaign.root, name) for name in campaign_names(campaign.root)]
    # That knows most of the kinds asked for; of equal ones the one that knows most at all.
    return max(others, key=lambda one: (len(wanted & one[0].keys()), len(one[0])), default=({}, ""))


def _of_another(root: Path, name: str) -> tuple[Speeds, str]:
    with suppress(UserError, OSError):
        other = open_campaign(root, name)
        done = other.look().done
        read = [run for own in forecast.sample(done).values() for run in own]
        records = filter(None, (sound_record(other.runs_folder / run.folder_name) for run in read))
        origins = {(one.provenance.device, one.provenance.precision) for one in records}
        if origins:
            made = listed(f"{device} in {precision}" for device, precision in sorted(origins))
            speeds = forecast.recorded(done, other.runs_folder)
            return speeds, f", as in campaign {name} ({made}); --calibrate measures this machine"
    return {}, ""
