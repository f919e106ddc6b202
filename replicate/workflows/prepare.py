"""The first step: results that can be written, images, and failed runs open again."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from replicate.dispatch.code import read_code
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.files import atomic, checksums
from replicate.plan.campaign import Campaign, save_campaign
from replicate.plan.request import FILE
from replicate.plan.runs import Images
from replicate.records import run_folder
from replicate.records.origin import Origin
from replicate.records.run_folder import claimed
from replicate.results.aggregate import refuse_to_forget
from replicate.text import console, say
from replicate.workflows.check import unbuildable

_PLACEHOLDER = re.compile(r"%\d*[a-zA-Z]")


@dataclass(frozen=True)
class TrainingOptions:
    """How to train, wherever it is done; none of it changes what a run is."""

    checkpoint_seconds: float
    retry_failed: bool
    data_dir: Path
    cache_dir: Path


def prepare(campaign: Campaign, options: TrainingOptions) -> WorkerContext:
    """All that a worker needs but its name; remembers the campaign.

    Raises:
        UserError: data or results that cannot be used; nothing has been remembered then.
    """
    if problems := unbuildable(campaign.cells):
        raise UserError("\n".join(problems))
    _check_results(campaign)
    entries = _prepare_images(campaign, options.data_dir, options.cache_dir)
    save_campaign(campaign)
    atomic.make_folder(campaign.runs_folder)
    if options.retry_failed:
        _reopen_failed(campaign)
    return WorkerContext(
        runs_folder=campaign.runs_folder.resolve(),
        entries=entries,
        code=_code(campaign),
        threads=1,
        checkpoint_seconds=options.checkpoint_seconds,
    )


def refuse_lacking(campaign: Campaign, retry_failed: bool) -> None:
    """Raises UserError for a run to do in a precision that this machine lacks: it would end its worker."""
    lacks = lacking({run.spec.training.precision for run in campaign.runs})
    left = campaign.look(thorough=True).left(retry_failed) if lacks else []
    for run in left:
        if lack := lacks.get(run.spec.training.precision):
            raise UserError(f"{lack}; {_way_out(campaign, run.cell)}")


def _way_out(campaign: Campaign, cell: str) -> str:
    if "training.precision" not in campaign.request.settings:
        return f"leave out {cell}, or train it on a machine that has it"
    begun = (campaign.results / FILE).exists()  # with its settings, which stay
    return "use --precision float32" + (" with another --campaign" if begun else "")


def _code(campaign: Campaign) -> Origin:
    code = read_code(campaign.root)
    if code.commit is None:
        say("no commit is recorded: git is missing here, or this is no checkout")
    return code


def _check_results(campaign: Campaign) -> None:
    """Find out now, not after hours, that results cannot be written.

    A campaign that has not begun gets its folder with its request: refused for its images, it leaves none.
    """
    if found := _PLACEHOLDER.search(str(campaign.results.resolve())):
        raise UserError(
            f"{campaign.results.resolve()}: {found[0]!r} in a path is replaced by SLURM and submitit: "
            "rename that folder"
        )
    begun = os.path.lexists(campaign.results)
    folder = campaign.results if begun else campaign.results.parent
    try:
        atomic.make_folder(campaign.runs_folder if begun else folder)
        with TemporaryFile(dir=folder):  # without a name, so that no death leaves it
            pass
        if begun:
            with atomic.alone(folder):
                checksums.set_aside_damaged(folder)
    except OSError as error:
        raise UserError(f"{campaign.results}: cannot be written: {error.strerror}") from None
    refuse_to_forget(campaign)


def _prepare_images(campaign: Campaign, data_dir: Path, cache_dir: Path) -> dict[Images, Path]:
    """The images of all runs still to do, as cache entries."""
    from replicate import data

    left = campaign.look(thorough=True).left(retry_failed=True)
    entries = {}
    for images, spec in {run.images: run.spec for run in left}.items():
        with console(sys.stderr).status(f"preparing {spec.dataset.name}"):
            entries[images] = data.prepare(spec, data_dir, cache_dir).resolve()
    return entries


def _reopen_failed(campaign: Campaign) -> None:
    """Set the records of failed runs aside, so that they are still to do."""
    for one in campaign.look(thorough=True).runs:
        if one.state == "failed":
            folder = campaign.runs_folder / one.run.folder_name
            with claimed(folder) as mine:  # else another command trains it again already
                if mine:
                    run_folder.set_aside(folder, "failed")
