"""The command line. Each command imports what it needs when it runs, so that help is quick."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replicate.errors import UserError, plain
from replicate.options import (
    CACHE,
    DATA,
    EVERY,
    HERE,
    CacheDir,
    CampaignOptions,
    Campaigns,
    DataDir,
    DataSets,
    Deadline,
    Every,
    Note,
    Precision,
    Root,
    Settings,
    Threads,
    TrainingOptions,
    Workers,
    ends,
    grouped,
    one_line,
    settings_of,
)
from replicate.text import say

if TYPE_CHECKING:
    from replicate.plan.campaign import Campaign

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the time to answer
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Replicate the tables of the FlexPooling paper (VISAPP 2023): specs in, report out.",
)
data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The data sets: what is there, fetch it, check it.",
)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run a command: what the user can fix is one line a problem and exit code 2."""
    try:
        app()
    except (UserError, OSError) as error:
        for line in str(error).splitlines():
            say(f"error: {line}")
        sys.exit(2)


@app.command("list")
def list_cells(
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CELL]...",
            help="Names, folders or globs, such as table1/cifar10 or extensions/pools. Default: every cell.",
        ),
    ] = None,
    table: Annotated[int | None, typer.Option(min=1, max=2, help="Only this table.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    method: Annotated[str | None, typer.Option(help="Only this method.")] = None,
    protocol: Annotated[
        str, typer.Option(help="Says which cells it does not have, such as those not released.")
    ] = "paper",
    root: Root = HERE,
) -> None:
    """List cells with their published numbers."""
    from replicate.specs import listing

    print(listing.cells(root, cells or [], protocol, table, dataset, method))


@app.command()
def show(
    cell: Annotated[str, typer.Argument(help="The name of a cell.")],
    protocol: Annotated[str, typer.Option(help="How to train.")] = "paper",
    settings: Settings = None,
    root: Root = HERE,
) -> None:
    """Show a cell's resolved spec, with the file and line of every value."""
    from replicate.specs import listing

    print(listing.spec(root, cell, protocol, settings_of(settings, None)))


@app.command()
def check(root: Root = HERE) -> None:
    """Check every spec under every protocol, and that the specs match the paper's tables one to one."""
    from replicate.specs.check import check

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

    campaign = asked.resolve(note)
    sys.exit(run_campaign(campaign, Options(*training, workers, threads, ends(deadline))))


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

    campaign, options = asked.resolve(note), Options(*training, cluster)
    if dry_run:
        print_requests(campaign, options)
        return
    submit_campaign(campaign, options)
    if wait:
        sys.exit(wait_for_end(campaign, EVERY))


@app.command()
def status(
    campaign: Campaigns = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again and again, until Ctrl-C or the end.")
    ] = False,
    every: Every = EVERY,
    root: Root = HERE,
) -> None:
    """Show what runs are doing, what SLURM says of them, and why any failed. Writes nothing."""
    from replicate.workflows.follow import status_lines, watch_status

    campaigns = _campaigns(root, campaign)
    if not campaigns:
        print("No campaign yet: begin one with `replicate run --protocol smoke`.")
    if watch:
        watch_status(campaigns, every)
    else:
        print("\n".join(plain(line) for one in campaigns for line in status_lines(one)))


@app.command()
def wait(
    campaign: Annotated[str, typer.Argument(help="A submitted campaign.")],
    every: Every = EVERY,
    root: Root = HERE,
) -> None:
    """Wait until SLURM has nothing left to do for a campaign; exit code 1 if any run has no accuracy."""
    from replicate.plan.campaign import open_campaign
    from replicate.workflows.follow import wait_for_end

    sys.exit(wait_for_end(open_campaign(root, campaign), every))


@app.command()
def cancel(
    campaign: Annotated[str, typer.Argument(help="A submitted campaign.")], root: Root = HERE
) -> None:
    """End a campaign's jobs on the cluster. Results and checkpoints stay."""
    from replicate.dispatch.slurm.jobs import cancel_campaign
    from replicate.plan.campaign import open_campaign

    ended = cancel_campaign(open_campaign(root, campaign))
    print(f"cancelled: {', '.join(ended) or 'nothing was queued or running'}")


@app.command()
def logs(
    cell: Annotated[str, typer.Argument(help="A cell, or a folder or glob of cells.")],
    campaign: Campaigns = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of each log's last lines.")] = 10,
    root: Root = HERE,
) -> None:
    """Show the end of the log of a cell's last attempts, and where it is. Writes nothing."""
    from replicate.workflows.follow import log_lines

    for one in _campaigns(root, campaign):
        for line in log_lines(one, cell, lines):
            print(plain(line))


@app.command()
def aggregate(
    campaign: Annotated[str, typer.Argument(help="A campaign.")], root: Root = HERE
) -> None:
    """Read the records of a campaign into its CSV files."""
    from replicate.plan.campaign import open_campaign
    from replicate.results.aggregate import aggregate

    found = open_campaign(root, campaign)
    for line in aggregate(found):
        say(f"left out: {line}")
    print(found.results / "runs.csv")


@app.command()
def report(campaign: Annotated[str, typer.Argument(help="A campaign.")], root: Root = HERE) -> None:
    """Write the report of a campaign from its CSV files and the specs."""
    from replicate.report.render import render

    print(render(root, campaign))


@app.command()
def audit(root: Root = HERE) -> None:
    """Hold the paper's claims against its own printed numbers. Trains nothing, writes nothing."""
    from replicate.workflows.audit import audit

    print(audit(root))


@app.command()
def power(
    campaign: Annotated[
        str | None, typer.Argument(help="A campaign. Default: all of them.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Plan the tables under this protocol, before any run.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Show how many seeds and hours each cell, gain, claim and the overall answer need."""
    from replicate.workflows.power import power

    print(plain(power(root, campaign, protocol)))


@app.command()
@grouped
def sensitivity(
    training: TrainingOptions,
    entry: Annotated[str, typer.Argument(help="A point that the paper leaves open: A01 to A19.")],
    cells: Annotated[
        list[str] | None,
        typer.Argument(help="Cells, folders or globs. Default: the cell that the ledger names."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="How to train.")] = "paper",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Train seeds 0 to N-1.")] = 3,
    campaign: Annotated[
        str | None, typer.Option(help="Name of the results. Default: such as paper-a03.")
    ] = None,
    settings: Settings = None,
    precision: Precision = None,
    workers: Workers = None,
    threads: Threads = None,
    root: Root = HERE,
) -> None:
    """Train the other readings of an open point beside its cells, and show what the choice changes."""
    from replicate.plan.readings import plan_readings
    from replicate.workflows.run import Options
    from replicate.workflows.sensitivity import run_sensitivity

    given = settings_of(settings, precision)
    asked = plan_readings(root, entry, cells or [], protocol, seeds, campaign, given)
    sys.exit(run_sensitivity(asked, Options(*training, workers, threads)))


@app.command()
def export(
    campaign: Annotated[str, typer.Argument(help="A campaign.")],
    output: Annotated[
        Path | None,
        typer.Option(callback=one_line, help="The archive. Default: <campaign>.tar.gz, here."),
    ] = None,
    root: Root = HERE,
) -> None:
    """Pack specs, records, CSV files, environment and report: all to compute every number again."""
    from replicate.workflows.export import export

    print(export(root, campaign, output))


@data_app.command("list")
def data_list(data_dir: DataDir = DATA, cache_dir: CacheDir = CACHE, root: Root = HERE) -> None:
    """List the data sets, where each was found, and whether it is the one expected. Writes nothing."""
    from tabulate import tabulate

    from replicate.data import describe
    from replicate.specs import catalogue

    specs = catalogue.one_spec_for_each_dataset(root, [])
    rows = describe([spec.dataset for spec in specs.values()], data_dir, cache_dir)
    table = [(row.dataset, *row.images, row.source or "none", row.state, row.place) for row in rows]
    headers = ["data set", "training", "test", "source", "fingerprint", "place"]
    print(tabulate(table, headers, tablefmt="plain"))


@data_app.command("prepare")
def data_prepare(
    names: DataSets = None,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Find or download data sets, check them, and decode them into the cache."""
    from replicate.data import prepare
    from replicate.paper.tables import DATASETS
    from replicate.specs import catalogue

    wanted = names or list(DATASETS.values())
    for name, spec in catalogue.one_spec_for_each_dataset(root, wanted).items():
        print(f"{name}: {prepare(spec, data_dir, cache_dir)}", flush=True)


@data_app.command("verify")
def data_verify(cache_dir: CacheDir = CACHE) -> None:
    """Hash everything in the cache again."""
    from replicate.data import entries, verify

    for entry in entries(cache_dir):
        verify(entry)
        print(f"{entry.name}: sound")


def _campaigns(root: Path, name: str | None) -> "list[Campaign]":
    """The one with that name, or all of them."""
    from replicate.plan.campaign import campaign_names, open_campaign

    return [
        open_campaign(root, one) for one in ([name] if name is not None else campaign_names(root))
    ]
