"""The command line. Each command imports what it needs when it runs, so that help is quick."""

import io
import json
import os
import sys
from typing import Annotated

import typer

from replicate import __version__, manage
from replicate.errors import UserError, plain
from replicate.options import (
    CACHE,
    CELLS,
    DATA,
    EVERY,
    HERE,
    MISUSE,
    Begun,
    CacheDir,
    CampaignOptions,
    Campaigns,
    DataDir,
    DataSets,
    Deadline,
    Every,
    Group,
    Json,
    Note,
    Planned,
    Precision,
    Price,
    Protocol,
    Root,
    Seeds,
    Settings,
    Threads,
    TrainingOptions,
    Workers,
    chosen,
    ends,
    grouped,
    misuse,
    settings_of,
)
from replicate.text import BEGIN, folded, keyed, say

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the time to answer
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Replicate the tables of the FlexPooling paper (VISAPP 2023): specs in, report out.",
)
data_app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The data sets: what is there, fetch it, check it.",
)
app.add_typer(data_app, name="data")
app.add_typer(manage.app)


def _version(asked: bool) -> None:
    if asked:
        print(f"replicate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command: what the user can fix is one line a problem and exit code 2."""
    _settle()
    try:
        sys.exit(app(prog_name="replicate", standalone_mode=False))
    except (UserError, OSError) as error:
        for line in str(error).splitlines():
            say(f"error: {line}")
    except MISUSE as error:
        say(misuse(error))
    except typer.Abort:
        sys.exit("aborted")
    sys.exit(2)


def _settle() -> None:
    """Take from the environment what would stop a command on its way: a standard stream that was closed, a
    terminal that lacks a sign of the text, the backend of a notebook, which may not be installed here."""
    while (
        spare := os.open(os.devnull, os.O_RDWR)
    ) <= 2:  # else a file of ours would take its place
        pass
    os.close(spare)
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@app.command("list")
def list_cells(
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CELL",
            autocompletion=CELLS,
            help="Names, folders or globs, such as table1/cifar10 or extensions/pools. Default: every cell.",
        ),
    ] = None,
    table: Annotated[int | None, typer.Option(min=1, max=2, help="Only this table.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    method: Annotated[str | None, typer.Option(help="Only this method.")] = None,
    protocol: Annotated[
        str, typer.Option(help="Says which cells it does not have, such as those not released.")
    ] = "paper",
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """List cells with their published numbers."""
    from replicate.specs import listing

    print(listing.cells(root, cells or [], protocol, table, dataset, method, as_json))


@app.command()
def show(
    cell: Annotated[str, typer.Argument(help="The name of a cell.", autocompletion=CELLS)],
    protocol: Protocol = "paper",
    settings: Settings = None,
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """Show a cell's resolved spec, with the file and line of every value."""
    from replicate.specs import listing

    print(listing.spec(root, cell, protocol, settings_of(settings, None), as_json))


@app.command()
def check(root: Root = HERE) -> None:
    """Check every spec and network under every protocol, and the specs against the paper's tables."""
    from replicate.workflows.check import check

    print(check(root))


@app.command()
def schema() -> None:
    """Print the JSON schema of the spec files, for editors."""
    from replicate.specs.spec import file_schema

    print(json.dumps(file_schema(), indent=1))


@app.command()
@grouped
def plan(
    asked: CampaignOptions,
    retry_failed: Annotated[bool, typer.Option(help="Count failed runs as still to do.")] = False,
    workers: Workers = None,
    threads: Threads = None,
    calibrate: Annotated[
        bool,
        typer.Option(help="Predict times from a few steps of each kind of run, tried out now."),
    ] = False,
) -> None:
    """Show what `run` would train, what is done, and how long it takes. Writes nothing."""
    from replicate.workflows.preview import preview

    print(preview(asked.resolve(), retry_failed, workers, threads, calibrate))


@app.command()
@grouped
def run(
    asked: CampaignOptions,
    training: TrainingOptions,
    note: Note = "",
    workers: Workers = None,
    threads: Threads = None,
    deadline: Deadline = None,
) -> None:
    """Train what is missing, then write the CSV files and the report. The same command resumes later."""
    from replicate.workflows.run import Options, run_campaign

    campaign, until = asked.resolve(note), ends(deadline)
    options = Options(**training._asdict(), workers=workers, threads=threads, until=until)
    sys.exit(run_campaign(campaign, options))


@app.command()
@grouped
def submit(
    asked: CampaignOptions,
    training: TrainingOptions,
    cluster: Annotated[
        str, typer.Option(help="A profile: a name in experiments/clusters, or a .yaml file.")
    ],
    note: Note = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests and what they cost; do nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Then wait, as `replicate wait`.")] = False,
) -> None:
    """Hand to SLURM what is missing, and a last job that writes CSV files and report; return at once."""
    from replicate.workflows.follow import wait_for_end
    from replicate.workflows.submit import Options, print_requests, submit_campaign

    campaign, options = asked.resolve(note), Options(**training._asdict(), cluster=cluster)
    if dry_run:
        print_requests(campaign, options)
        return
    submit_campaign(campaign, options)
    if wait:
        sys.exit(wait_for_end(campaign.whole, EVERY))


@app.command()
def status(
    campaign: Campaigns = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again and again, until Ctrl-C or the end.")
    ] = False,
    every: Every = EVERY,
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """Show what runs are doing, what SLURM says of them, and why any failed. Writes nothing."""
    from replicate.plan.campaign import campaign_names
    from replicate.workflows.each import of_each
    from replicate.workflows.follow import KEYS, status_lines, status_rows, watch_status

    if as_json and watch:
        raise UserError("--json and --watch: a program asks again itself; give one of them")
    if as_json:
        print(keyed(KEYS, of_each(root, campaign, status_rows)))
    elif campaign is None and not campaign_names(root):
        print(f"No campaign yet: {BEGIN}.")
    elif watch:
        watch_status(list(of_each(root, campaign, lambda one: [one])), every)
    else:
        for line in of_each(root, campaign, status_lines):
            print(folded(plain(line)))


@app.command()
def logs(
    cell: Annotated[str, typer.Argument(help="A cell, or a folder or glob of cells.")],
    campaign: Campaigns = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of each log's last lines.")] = 10,
    root: Root = HERE,
) -> None:
    """Show the end of the log of a cell's last attempts, and where it is. Writes nothing."""
    from replicate.workflows.follow import log_lines

    for line in log_lines(root, campaign, cell, lines):
        print(plain(line))


@app.command()
def aggregate(campaign: Begun, root: Root = HERE) -> None:
    """Read the records of a campaign into its CSV files."""
    from replicate.plan.campaign import open_campaign
    from replicate.workflows.conclude import gather

    found = open_campaign(root, campaign)
    gather(found)
    print(found.results / "runs.csv")


@app.command()
def report(campaign: Begun, root: Root = HERE) -> None:
    """Write the report of a campaign from its CSV files and the specs."""
    from replicate.report.render import render

    print(render(root, campaign))


@app.command()
def verify(
    campaign: Begun,
    runs: Annotated[int, typer.Option(min=0, help="Retrain this many of its runs.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="The first this many epochs of each.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the runs. Default: another each time, printed.")
    ] = None,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Make CSV files, report and some epochs again, and compare: exit code 1 if anything differs."""
    from replicate.workflows.retrain import Retraining
    from replicate.workflows.verify import verify

    sys.exit(verify(root, campaign, Retraining(runs, epochs, seed, data_dir, cache_dir)))


@app.command()
def audit(as_json: Json = False, root: Root = HERE) -> None:
    """Hold the paper's claims against its own printed numbers. Trains nothing, writes nothing."""
    from replicate.workflows.audit import audit

    print(audit(root, as_json))


@app.command()
def power(
    campaign: Campaigns = None,
    protocol: Planned = None,
    precision: Precision = None,
    price: Price = None,
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """Show how many seeds and hours each cell, gain, claim and the overall answer need."""
    from replicate.workflows.power import power

    settings = settings_of(None, precision)
    print(plain(power(root, campaign, protocol, as_json, price, settings)))


@app.command()
@grouped
def sensitivity(
    training: TrainingOptions,
    entry: Annotated[str, typer.Argument(help="A point that the paper leaves open: A01 to A19.")],
    cells: Annotated[
        list[str] | None,
        typer.Argument(help="Cells, folders or globs. Default: the one that the ambiguity names."),
    ] = None,
    protocol: Protocol = "paper",
    seeds: Seeds = "3",
    campaign: Annotated[
        str | None, typer.Option(help="Name of the results. Default: such as paper-a03.")
    ] = None,
    settings: Settings = None,
    precision: Precision = None,
    workers: Workers = None,
    threads: Threads = None,
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """Train the other readings of an open point beside its cells, and show what the choice changes."""
    from replicate.dispatch.precision import lacking
    from replicate.plan.readings import plan_readings
    from replicate.workflows.run import Options
    from replicate.workflows.sensitivity import run_sensitivity

    given = settings_of(settings, precision)
    asked = plan_readings(
        root, entry, cells or [], protocol, chosen(seeds) or [], campaign, given, lacking
    )
    options = Options(**training._asdict(), workers=workers, threads=threads)
    sys.exit(run_sensitivity(asked, options, as_json))


@data_app.command("list")
def data_list(
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    as_json: Json = False,
    root: Root = HERE,
) -> None:
    """List the data sets, where each was found, and whether it is the one expected. Writes nothing."""
    from replicate.workflows.datasets import datasets

    print(datasets(root, data_dir, cache_dir, as_json))


@data_app.command("prepare")
def data_prepare(
    names: DataSets = None,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Find or download data sets, check them, and decode them into the cache."""
    from replicate.workflows.datasets import prepare

    prepare(root, names or [], data_dir, cache_dir)


@data_app.command("verify")
def data_verify(cache_dir: CacheDir = CACHE) -> None:
    """Hash everything in the cache again."""
    from replicate.workflows.datasets import verify

    verify(cache_dir)
