"""Coming back to a campaign: its status, its end, its logs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from replicate import catalogue
from replicate.campaign import Campaign
from replicate.dispatch import display, explain, standing, submission, waiting
from replicate.dispatch import status as statuses
from replicate.dispatch.logs import tail
from replicate.dispatch.worker import attempts
from replicate.errors import UserError
from replicate.plan import Run


def status(campaign: Campaign) -> list[str]:
    """What the records say, then what SLURM says."""
    seen = statuses.look(campaign.runs, campaign.runs_folder)
    said = standing.look(campaign, submission.read_all(campaign))
    details = statuses.details(seen, campaign.runs_folder) + explain.lines(said, seen)
    return [
        f"{campaign.request.name}: {statuses.summary(seen)}",
        *(f"  {line}" for line in details),
    ]


def watch(campaigns: Sequence[Campaign], every: float) -> None:
    """Show the status until every run has ended, or Ctrl-C."""
    with suppress(KeyboardInterrupt), Live(console=Console(), auto_refresh=False) as live:
        while True:
            lines = [line for one in campaigns for line in status(one)]
            live.update(Text("\n".join(lines)), refresh=True)
            seen = [one for c in campaigns for one in statuses.look(c.runs, c.runs_folder)]
            if all(one.share == 1 for one in seen):
                return
            time.sleep(every)


def wait(campaign: Campaign, every: float) -> int:
    """Wait for a submitted campaign, see to it that its report is there; returns the exit code.

    Raises:
        UserError: it has never been submitted.
    """
    name = campaign.request.name
    if not any(sent.tasks for sent in submission.read_all(campaign)):
        raise UserError(f"campaign {name!r} has not been submitted: `replicate submit`")
    console = Console(stderr=True)
    clock = waiting.Watch(campaign, every, console.print)
    try:
        display.follow(
            console, lambda: statuses.look(campaign.runs, campaign.runs_folder), clock.tick
        )
    except KeyboardInterrupt:
        console.print("the jobs go on; `replicate wait` waits again")
        return 130
    _report(campaign)
    for line in status(campaign):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(f"report: {campaign.root / 'reports' / name / 'report.md'}")
    seen = statuses.look(campaign.runs, campaign.runs_folder)
    return 0 if all(one.doing == "done" for one in seen) else 1


def _report(campaign: Campaign) -> None:
    """Do the work of the last report job here if SLURM does not say that it has done it."""
    from replicate.dispatch.task import conclude

    sent = submission.read_all(campaign)
    jobs = standing.look(campaign, sent).jobs or {}
    last = sent[-1]
    if last.report is None or last.report not in jobs or jobs[last.report].state != "COMPLETED":
        conclude(Path(last.code), campaign.request.name)


def logs(campaign: Campaign, pattern: str, lines: int) -> Iterator[str]:
    """The last lines of the logs of a cell's last attempts, each behind its path."""
    names = [cell.name for cell in campaign.cells]
    chosen = set(catalogue.select(names, [pattern]))
    places: dict[Path, list[Run]] = {}
    for run in campaign.runs:
        place = _log(campaign, run) if run.cell in chosen else None
        if place is not None:
            places.setdefault(place, []).append(run)
    if not places:
        yield f"{campaign.request.name}: no log yet of {pattern}"
    for place, runs in places.items():
        yield f"==> {', '.join(map(str, runs))}: {place}"
        yield from tail(place, 100_000).splitlines()[-lines:]


def _log(campaign: Campaign, run: Run) -> Path | None:
    """Of the latest task that has the run, else of the last worker of this machine."""
    for sent in reversed(submission.read_all(campaign)):
        for task in sent.tasks:
            if run.id in task.runs:
                log = submission.log(campaign, sent, task.job)
                return log if tail(log) else log.with_suffix(".out")
    begun = attempts(campaign.runs_folder / run.folder_name)
    if not begun:
        return None
    found = (campaign.results / "logs").glob(f"*/{begun[-1].get('worker')}/*_log.err")
    return next(found, None)
