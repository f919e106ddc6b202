"""Coming back to a campaign: its status, its end, its logs."""

import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.live import Live
from rich.text import Text

from replicate.dispatch.attempt import BEGINS, begins
from replicate.dispatch.crashes import tail
from replicate.dispatch.progress import SECONDS_BETWEEN_LOOKS, open_view
from replicate.dispatch.slurm.diagnosis import diagnose
from replicate.dispatch.slurm.jobs import query
from replicate.dispatch.slurm.submission import log_path, read_submissions
from replicate.dispatch.slurm.wait import await_jobs
from replicate.errors import UserError, plain
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run
from replicate.records.run_folder import last_worker
from replicate.specs import catalogue
from replicate.text import BEGIN, console, say
from replicate.workflows.conclude import INTERRUPTED, conclude_submitted, exit_code
from replicate.workflows.each import of_each

KEYS = ("campaign", "cell", "seed", "run_id", "state", "epoch", "epochs", "accuracy")
WORKER = re.compile(r"[\w-]+")
"""What workers are called: nothing that leads out of the logs."""


def status_lines(campaign: Campaign) -> list[str]:
    """What the records say, then what SLURM says."""
    state = campaign.look()
    kept = {True: "as recorded", False: "no run of it is recorded"}
    lost = (f"{cell}: {why}: {kept[cell in campaign.specs]}" for cell, why in campaign.lost.items())
    details = [*lost, *state.details(), *diagnose(query(campaign), state)]
    return [f"{campaign.request.name}: {state.summary()}", *(f"  {line}" for line in details)]


def status_rows(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    """What the records say of each run, by `KEYS`."""
    for one in campaign.look().runs:
        run, latest = one.run, one.progress or {}
        epochs = (latest.get("epoch"), run.spec.training.epochs, latest.get("accuracy"))
        yield campaign.name, run.cell, run.seed, run.id, one.state, *epochs


def watch_status(campaigns: Sequence[Campaign], every: float) -> None:
    """Show the status until every run has ended, or Ctrl-C; without a terminal, each one that is new."""
    screen, shown = console(sys.stdout), ""
    with suppress(KeyboardInterrupt), Live(console=screen, auto_refresh=False) as live:
        while True:
            lines = "\n".join(line for one in campaigns for line in status_lines(one))
            if screen.is_terminal:
                live.update(Text(lines), refresh=True)
            elif lines != shown:
                print(plain(lines), flush=True)
            shown = lines
            if all(one.look().ended for one in campaigns):
                return
            time.sleep(every)


def wait_for_end(campaign: Campaign, every: float) -> int:
    """Wait for a submitted campaign, see to it that its report is there; returns the exit code.

    Raises:
        UserError: it has never been submitted.
    """
    name = campaign.request.name
    if not any(sent.tasks for sent in read_submissions(campaign)):
        way_out = f"`replicate submit --campaign {name} --cluster PROFILE`"
        raise UserError(f"campaign {name!r} has not been submitted: {way_out}")
    try:
        show_while(await_jobs(campaign, every), campaign)
    except KeyboardInterrupt:
        say(f"the jobs go on; `replicate wait {name}` waits again")
        return INTERRUPTED
    if not _is_reported(campaign):
        conclude_submitted(Path(read_submissions(campaign)[-1].code), name)
    for line in status_lines(campaign):
        say(line)
    print(f"report: {campaign.root / 'reports' / name / 'report.md'}")
    return exit_code(campaign.look())


def show_while(busy: Iterable[object], campaign: Campaign) -> None:
    """Show what its runs are doing, a look for each item, and how they ended."""
    with open_view(campaign.look()) as view:
        for _ in busy:
            view.show(campaign.look())
            time.sleep(SECONDS_BETWEEN_LOOKS)
        view.show(campaign.look())


def _is_reported(campaign: Campaign) -> bool:
    """Whether SLURM says that the last report job has done its work."""
    view = query(campaign)
    job = (view.jobs or {}).get(view.submissions[-1].report or "")
    return job is not None and job.state == "COMPLETED"


def log_lines(root: Path, name: str | None, pattern: str, lines: int) -> Iterator[str]:
    """The last lines of the logs of a cell's last attempts, each behind its path, in one or all campaigns.

    Raises:
        UserError: none of them has such a cell.
    """
    campaigns = list(of_each(root, name, lambda one: [one]))
    if not campaigns:
        raise UserError(f"no campaign yet: {BEGIN}")
    cells = [cell for one in campaigns for cell in one.request.cells]
    chosen = set(catalogue.select(cells, [pattern]))
    for one in campaigns:
        if not chosen.isdisjoint(one.request.cells):
            yield from _log_lines(one, chosen, lines)


def _log_lines(campaign: Campaign, chosen: set[str], lines: int) -> Iterator[str]:
    yield from (f"{cell}: {why}" for cell, why in campaign.lost.items() if cell in chosen)
    begun = [one for one in campaign.look().runs if one.run.cell in chosen]
    places = [(one, place) for one in begun if (place := _log(campaign, one.run))]
    if not places:
        yield f"{campaign.name}: no log yet of {', '.join(sorted(chosen))}"
    for one, place in places:
        yield f"==> {one.run}: {place}"
        yield from _own_lines(tail(place, 1_000_000), one.run)[-lines:] or ["(empty)"]
        if one.state == "interrupted":
            yield f"interrupted, {one.epoch}"


def _own_lines(log: str, run: Run) -> list[str]:
    """What a worker wrote since it began a run, until it began the next; all where it does not say."""
    found = log.splitlines()
    if begins(run) not in found:
        return found
    start = len(found) - found[::-1].index(begins(run))
    ends = (place for place in range(start, len(found)) if found[place].endswith(BEGINS))
    return found[start : next(ends, None)]


def _log(campaign: Campaign, run: Run) -> Path | None:
    """Of the latest task that has the run, else of the last worker of this machine."""
    for sent in reversed(read_submissions(campaign)):
        for task in sent.tasks:
            if run.id in task.runs:
                log = log_path(campaign, sent, task.job)
                return log if tail(log) else log.with_suffix(".out")
    worker = last_worker(campaign.runs_folder / run.folder_name)
    if worker is None or not WORKER.fullmatch(worker):
        return None
    found = (campaign.results / "logs").glob(f"*/{worker}/*_log.err")
    return next(found, None)
