"""The command line. Each command imports what it needs when it runs, so that help is quick."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from replicate.errors import UserError, plain
from replicate.options import (
    CACHE,
    DATA,
    EVERY,
    HERE,
    CacheDir,
    CampaignName,
    Campaigns,
    Cells,
    CheckpointSeconds,
    DataDir,
    DataSets,
    Deadline,
    Every,
    Note,
    Precision,
    ProtocolName,
    RetryFailed,
    Root,
    Seeds,
    Settings,
    Threads,
    Workers,
    campaign_of,
    ends,
    one_line,
    settings_of,
)

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
    """Run a command: what the user can mend is one line a problem and exit code 2."""
    try:
        app()
    except (UserError, OSError) as error:
        print(
            "\n".join(f"error: {plain(line)}" for line in str(error).splitlines()), file=sys.stderr
        )
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
    from tabulate import tabulate

    from replicate import catalogue

    every = catalogue.cell_names(root)
    names = catalogue.select(every, cells) if cells else every
    lacking = catalogue.uncovered(root, names, catalogue.read_protocol(root, protocol))
    rows = []
    for cell in catalogue.load(root, names, "paper"):
        spec = cell.spec
        wanted = {
            table: spec.published and spec.published.table,
            dataset: spec.dataset.name,
            method: spec.method.name,
        }
        if all(asked in (None, own) for asked, own in wanted.items()):
            printed = spec.published.value if spec.published else ""
            said = lacking.get(cell.name, printed)
            rows.append((cell.name, spec.dataset.title, spec.method.title, said))
    if not rows:
        raise UserError("no cell matches all of these filters; `replicate list` shows every cell")
    print(tabulate(rows, ["cell", "data set", "method", "published, %"], disable_numparse=True))


@app.command()
def show(
    cell: Annotated[str, typer.Argument(help="The name of a cell.")],
    protocol: Annotated[str, typer.Option(help="How to train.")] = "paper",
    settings: Settings = None,
    root: Root = HERE,
) -> None:
    """Show a cell's resolved spec, with the file and line of every value."""
    from tabulate import tabulate

    from replicate import catalogue

    names = catalogue.select(catalogue.cell_names(root), [cell])
    rows = []
    for found in catalogue.load(root, names, protocol, settings_of(settings, None)):
        values = found.spec.model_dump(mode="json")
        rows.append((found.name, "", ""))
        for keys, origin in sorted(
            found.origins.items(), key=lambda item: list(values).index(item[0][0])
        ):
            value: Any = values
            for key in keys:
                value = value[key]
            rows.append(("  " + ".".join(keys), json.dumps(value), _short(origin, root)))
    print(tabulate(rows, ["key", "value", "from"], disable_numparse=True, tablefmt="plain"))


@app.command()
def check(root: Root = HERE) -> None:
    """Check every spec under every protocol, and that the specs match the paper's tables one to one."""
    from replicate import catalogue, paper

    names = catalogue.cell_names(root)
    problems: dict[str, None] = {}
    for protocol in catalogue.protocols(root):
        try:
            lacking = catalogue.uncovered(root, names, catalogue.read_protocol(root, protocol))
            own = [name for name in names if name not in lacking]
            cells = catalogue.load(root, own, protocol)
        except UserError as error:
            problems |= dict.fromkeys(str(error).splitlines())
        else:
            problems |= dict.fromkeys(paper.problems(paper.read_tables(root), cells, lacking))
    if problems:
        raise UserError("\n".join(problems))
    protocols = ", ".join(catalogue.protocols(root))
    print(
        f"{len(names)} cells are sound under {protocols}, and the tables' match the paper one to one."
    )


@app.command()
def schema() -> None:
    """Print the JSON schema of the spec files, for editors."""
    from replicate.spec import file_schema

    print(json.dumps(file_schema(), indent=1))


@app.command()
def plan(
    cells: Cells = None,
    protocol: ProtocolName = None,
    seeds: Seeds = None,
    campaign: CampaignName = None,
    settings: Settings = None,
    precision: Precision = None,
    retry_failed: Annotated[bool, typer.Option(help="Count failed runs as still to do.")] = False,
    workers: Workers = None,
    threads: Threads = None,
    calibrate: Annotated[
        bool,
        typer.Option(help="Predict times from a few steps of each kind of run, tried out now."),
    ] = False,
    root: Root = HERE,
) -> None:
    """Show what `run` would train, what is done, and how long it takes. Writes nothing."""
    from replicate import forecast, machine
    from replicate.dispatch import status as statuses

    asked = campaign_of(root, cells, protocol, seeds, campaign, settings_of(settings, precision))
    seen = statuses.look(asked.runs, asked.runs_folder)
    left = statuses.left(seen, retry_failed)
    size = machine.share(len(left), machine.gpus(), workers, threads)
    if calibrate and left:
        from replicate.training.calibration import calibrate as tried

        speeds = tried([run.spec for run in left], *size)
    elif left:
        speeds = forecast.recorded(statuses.done(seen), asked.runs_folder)
    else:
        speeds = {}
    for line in forecast.lines(left, speeds):
        print(line)
    print(f"campaign {asked.request.name}: {statuses.summary(seen)}; {len(left)} to do.")
    print(forecast.cost(left, speeds, size[0]))


@app.command()
def run(
    cells: Cells = None,
    protocol: ProtocolName = None,
    seeds: Seeds = None,
    campaign: CampaignName = None,
    settings: Settings = None,
    precision: Precision = None,
    note: Note = "",
    retry_failed: RetryFailed = False,
    workers: Workers = None,
    threads: Threads = None,
    checkpoint_seconds: CheckpointSeconds = 30,
    deadline: Deadline = None,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Train what is missing, then write the CSV files and the report. The same command goes on later."""
    from replicate.dispatch import local

    asked = campaign_of(
        root, cells, protocol, seeds, campaign, settings_of(settings, precision), note
    )
    options = local.Options(
        workers, threads, checkpoint_seconds, retry_failed, data_dir, cache_dir, ends(deadline)
    )
    sys.exit(local.run(asked, options))


@app.command()
def submit(
    cluster: Annotated[
        str, typer.Option(help="A profile: a name in experiments/clusters, or a .yaml file.")
    ],
    cells: Cells = None,
    protocol: ProtocolName = None,
    seeds: Seeds = None,
    campaign: CampaignName = None,
    settings: Settings = None,
    precision: Precision = None,
    note: Note = "",
    retry_failed: RetryFailed = False,
    checkpoint_seconds: CheckpointSeconds = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests and what they cost; do nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Then wait, as `replicate wait`.")] = False,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Hand to SLURM what is missing, and a last job that writes CSV files and report; return at once."""
    from replicate.dispatch import follow, slurm

    asked = campaign_of(
        root, cells, protocol, seeds, campaign, settings_of(settings, precision), note
    )
    options = slurm.Options(cluster, retry_failed, checkpoint_seconds, data_dir, cache_dir)
    if dry_run:
        slurm.dry_run(asked, options)
        return
    slurm.submit(asked, options)
    if wait:
        sys.exit(follow.wait(asked, EVERY))


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
    from replicate import campaign as campaigns
    from replicate.dispatch import follow

    names = campaigns.names(root) if campaign is None else [campaign]
    if not names:
        print("No campaign yet: begin one with `replicate run --protocol smoke`.")
    found = [campaigns.opened(root, name) for name in names]
    if watch:
        follow.watch(found, every)
    else:
        print("\n".join(plain(line) for one in found for line in follow.status(one)))


@app.command()
def wait(
    campaign: Annotated[str, typer.Argument(help="A submitted campaign.")],
    every: Every = EVERY,
    root: Root = HERE,
) -> None:
    """Wait until SLURM has nothing left to do for a campaign; exit code 1 if any run has no accuracy."""
    from replicate import campaign as campaigns
    from replicate.dispatch import follow

    sys.exit(follow.wait(campaigns.opened(root, campaign), every))


@app.command()
def cancel(
    campaign: Annotated[str, typer.Argument(help="A submitted campaign.")], root: Root = HERE
) -> None:
    """End a campaign's jobs on the cluster. Results and checkpoints stay."""
    from replicate import campaign as campaigns
    from replicate.dispatch import standing

    ended = standing.cancel(campaigns.opened(root, campaign))
    print(f"cancelled: {', '.join(ended) or 'nothing was queued or running'}")


@app.command()
def logs(
    cell: Annotated[str, typer.Argument(help="A cell, or a folder or glob of cells.")],
    campaign: Campaigns = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of each log's last lines.")] = 10,
    root: Root = HERE,
) -> None:
    """Show the end of the log of a cell's last attempts, and where it is. Writes nothing."""
    from replicate import campaign as campaigns
    from replicate.dispatch import follow

    for name in campaigns.names(root) if campaign is None else [campaign]:
        for line in follow.logs(campaigns.opened(root, name), cell, lines):
            print(plain(line))


@app.command()
def aggregate(
    campaign: Annotated[str, typer.Argument(help="A campaign.")], root: Root = HERE
) -> None:
    """Read the records of a campaign into its CSV files."""
    from replicate import campaign as campaigns
    from replicate.results import aggregate as aggregates

    found = campaigns.opened(root, campaign)
    for line in aggregates.aggregate(found):
        print(f"left out: {plain(line)}", file=sys.stderr)
    print(found.results / "runs.csv")


@app.command()
def report(campaign: Annotated[str, typer.Argument(help="A campaign.")], root: Root = HERE) -> None:
    """Write the report of a campaign from its CSV files and the specs."""
    from replicate.report.render import render

    print(render(root, campaign))


@app.command()
def audit(root: Root = HERE) -> None:
    """Hold the paper's claims against its own printed numbers. Trains nothing, writes nothing."""
    from replicate.audit import audit

    print(audit(root))


@app.command()
def power(
    campaign: Annotated[
        str | None, typer.Argument(help="A campaign. Default: all of them.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Show how many seeds each cell needs before its verdict can be anything but inconclusive."""
    from replicate.power import power

    print(plain(power(root, campaign)))


@app.command()
def sensitivity(
    entry: Annotated[str, typer.Argument(help="A point that the paper leaves open: A01 to A18.")],
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
    retry_failed: RetryFailed = False,
    workers: Workers = None,
    threads: Threads = None,
    checkpoint_seconds: CheckpointSeconds = 30,
    data_dir: DataDir = DATA,
    cache_dir: CacheDir = CACHE,
    root: Root = HERE,
) -> None:
    """Train the other readings of an open point beside its cells, and show what the choice changes."""
    from replicate import sensitivity
    from replicate.dispatch import local

    options = local.Options(workers, threads, checkpoint_seconds, retry_failed, data_dir, cache_dir)
    given = settings_of(settings, precision)
    asked = sensitivity.plan(root, entry, cells or [], protocol, seeds, campaign, given)
    sys.exit(sensitivity.run(asked, options))


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
    from replicate.export import export

    path, corrupt = export(root, campaign, output)
    for line in corrupt:
        print(f"left out: {plain(line)}", file=sys.stderr)
    print(path)


@data_app.command("list")
def data_list(data_dir: DataDir = DATA, cache_dir: CacheDir = CACHE, root: Root = HERE) -> None:
    """List the data sets, where each was found, and whether it is the one expected. Writes nothing."""
    from tabulate import tabulate

    from replicate import catalogue
    from replicate.data import describe

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
    from replicate import catalogue, paper
    from replicate.data import prepare

    wanted = names or list(paper.DATASETS.values())
    for name, spec in catalogue.one_spec_for_each_dataset(root, wanted).items():
        print(f"{name}: {prepare(spec, data_dir, cache_dir)}", flush=True)


@data_app.command("verify")
def data_verify(cache_dir: CacheDir = CACHE) -> None:
    """Hash everything in the cache again."""
    from replicate.data import entries, verify

    for entry in entries(cache_dir):
        verify(entry)
        print(f"{entry.name}: sound")


def _short(origin: Any, root: Path) -> str:
    """An origin relative to the project."""
    folder = root.resolve()
    file = origin.file
    return f"{file.relative_to(folder) if file.is_relative_to(folder) else file}:{origin.line}"
