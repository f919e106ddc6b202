"""What a campaign would train, what is done, and what the rest takes. Writes nothing."""

from replicate import machine
from replicate.plan import forecast
from replicate.plan.campaign import Campaign


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
        speeds = forecast.recorded(state.done if left else [], campaign.runs_folder)
    lines = [
        *forecast.lines(left, speeds),
        f"campaign {campaign.request.name}: {state.summary()}; {len(left)} to do.",
        forecast.cost(left, speeds, size[0]),
    ]
    return "\n".join(lines)
