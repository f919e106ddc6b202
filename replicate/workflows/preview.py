"""What a campaign would train, what is done, and what the rest takes. Writes nothing."""

from replicate import machine
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.text import many


def preview(
    campaign: Campaign,
    retry_failed: bool,
    workers: int | None,
    threads: int | None,
    calibrate: bool,
) -> str:
    """A line for each run to do, then the campaign's."""
    state = campaign.look()
    left = state.left(retry_failed)
    size = machine.share(len(left), machine.gpus(), workers, threads)
    if left and calibrate:
        from replicate.dispatch.calibration import calibrate as measure_speeds

        speeds = measure_speeds([run.spec for run in left], *size)
    else:
        done = campaign.whole.look().done if left else []
        speeds = forecast.recorded(done, campaign.runs_folder)
    lines = [
        *forecast.lines(left, speeds),
        f"campaign {campaign.name}: {state.summary()}; {len(left)} to do{_scope(campaign)}.",
        forecast.cost(left, speeds, size[0]),
    ]
    return "\n".join(lines)


def _scope(campaign: Campaign) -> str:
    """That more belongs to the campaign than this command would train."""
    more = len(campaign.whole.runs) - len(campaign.runs)
    return f", of those named here; the campaign has {many(more, 'other run')}" if more else ""
