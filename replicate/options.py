"""The options and arguments that several commands share, their defaults, and what they ask for."""

import functools
import inspect
import math
import pkgutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args

import typer
from typer.core import TyperGroup

from replicate.errors import UserError, has_controls

if TYPE_CHECKING:
    from replicate.plan.campaign import Campaign

PRECISION = "training.precision"
MISUSE: type[Exception] = typer.BadParameter.__bases__[0]
"""Whatever the parser of the command line refuses, which typer does not name."""


def misuse(error: Any) -> str:
    """What the parser refuses, in a line, with the value seen; the help where no command is named."""
    said = error.format_message().rstrip(".")
    if "\n" in said:
        return str(said)
    seen = (f", got {one['input']!r}" for one in getattr(error.__cause__, "errors", list)())
    way_out = f" (see `{error.ctx.command_path} -h`)" if error.ctx else ""
    return f"error: {said}{''.join(seen)}{way_out}"


class Group(TyperGroup):
    """Its help has each command's whole sentence; else it would be cut at the end of the line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(1000)) for name, one in commands if one]
            )


def _completed(names: str) -> Callable[[str], list[str]]:
    """For the shell: what may be meant by a word that has been begun; nothing outside a project.

    Args:
        names: the function that knows them, as `module:function`, imported when the shell asks.
    """

    def complete(incomplete: str) -> list[str]:
        try:
            known = pkgutil.resolve_name(names)(HERE)
            return [name for name in known if name.startswith(incomplete)]
        except (UserError, OSError):
            return []

    return complete


Given = TypeVar("Given", Path, Path | None)


def place(path: Given) -> Given:
    """A path as it is meant: of `--data-dir=~/x`, shells leave the ~ as it is."""
    if path is not None and has_controls(str(path)):
        raise UserError(f"{str(path)!r}: a path without control characters is needed: rename it")
    try:
        return path and path.expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no such user, or none with a home: write the path out") from None


def _finite(number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):
        raise UserError(f"{number}: a finite number is needed")
    return number


Root = Annotated[
    Path,
    typer.Option(callback=place, help="Folder with experiments/, results/ and reports/."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of every spec, such as training.epochs=1.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="SEEDS",
        help="Train these: 5 for seeds 0 to 4, or such as 5-9 or 3,7. Default: as begun, else one.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help=f"float32, tf32, bfloat16 or auto; short for --set {PRECISION}=..."),
]
Note = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="A note for the report, such as why these cells. Default: as begun.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes. Default: one a GPU, or one a core.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of each. Default: cores / workers.")
]
Deadline = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Be done by then, report included: 14m, 2h30m, 17:30 or '2026-12-24 08:00'. Begins nothing that"
        " cannot end, all seeds of a cell first; exit code 3 if something is left.",
    ),
]
DataDir = Annotated[
    Path,
    typer.Option(
        envvar="REPLICATE_DATA_DIR",
        callback=place,
        help="Where the images are, or are downloaded to.",
    ),
]
CacheDir = Annotated[
    Path,
    typer.Option(
        envvar="REPLICATE_CACHE_DIR", callback=place, help="Where decoded images are kept."
    ),
]
DataSets = Annotated[
    list[str] | None, typer.Argument(metavar="DATASET", help="Default: the paper's four.")
]
CELLS = _completed("replicate.specs.catalogue:cell_names")
PROTOCOLS = _completed("replicate.specs.resolve:protocols")
CAMPAIGNS = _completed("replicate.plan.campaign:campaign_names")
Campaigns = Annotated[
    str | None,
    typer.Argument(help="A campaign. Default: all of them.", autocompletion=CAMPAIGNS),
]
Begun = Annotated[str, typer.Argument(help="A campaign.", autocompletion=CAMPAIGNS)]
Protocol = Annotated[str, typer.Option(help="How to train.", autocompletion=PROTOCOLS)]
Planned = Annotated[
    str | None,
    typer.Option(
        autocompletion=PROTOCOLS, help="Plan the tables under this protocol, before any run."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="For programs: the keys are those of docs/json.md.")
]
Every = Annotated[
    float, typer.Option(min=1, callback=_finite, help="Seconds between two questions to SLURM.")
]
Price = Annotated[
    float | None,
    typer.Option(min=0, callback=_finite, help="Of an hour of a worker: adds what it costs."),
]
EVERY = 30.0
HERE = Path()
DATA = Path("data")
CACHE = Path(".cache/data")


def ends(deadline: str | None) -> float | None:
    """When training must stop, in seconds since 1970; raises UserError for what is no time to come."""
    from replicate.plan.deadline import parse_deadline, training_ends

    if deadline is None:
        return None
    now = datetime.now().astimezone()
    return training_ends(parse_deadline(deadline, now), now)


def chosen(seeds: str | None) -> list[int] | None:
    from replicate.plan.request import parse_seeds

    return None if seeds is None else parse_seeds(seeds)


def settings_of(pairs: list[str] | None, precision: str | None) -> dict[str, str]:
    """Of `--set` and `--precision`; raises UserError for what is no KEY=VALUE, a key given twice, or no
    precision."""
    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key or key in settings:
            raise UserError(
                f"--set {pair!r}: expected KEY=VALUE, each key once, such as training.epochs=1"
            )
        settings[key] = value
    if precision is not None:
        if PRECISION in settings:
            raise UserError(f"--precision and --set {PRECISION} are the same: give one of them")
        settings[PRECISION] = _valid(precision)
    return settings


def _valid(precision: str) -> str:
    """Checked here: a spec would refuse it as the value of a --set that nobody typed."""
    from replicate.specs.spec import Training

    known = get_args(Training.model_fields["precision"].annotation)
    if precision not in known:
        raise UserError(f"--precision {precision!r}: choose from {', '.join(known)}")
    return precision


class CampaignOptions(NamedTuple):
    """Which campaign: of `plan`, `run` and `submit`."""

    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CELL",
            autocompletion=CELLS,
            help="What to train: names, folders or globs, such as table1/cifar10 or '*/flexpool-reg'."
            " Default: as begun with --campaign, else Tables 1 and 2.",
        ),
    ] = None
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="How to train: a file of experiments/protocols.",
            autocompletion=PROTOCOLS,
        ),
    ] = None
    seeds: Seeds = None
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign",
            autocompletion=CAMPAIGNS,
            help="Name of the results, which grow by what is trained. Default: the protocol's name, or"
            " one made of it and the changed settings.",
        ),
    ] = None
    settings: Settings = None
    precision: Precision = None
    root: Root = HERE

    def resolve(self, note: str = "") -> "Campaign":
        from replicate.plan.campaign import request_campaign

        settings = settings_of(self.settings, self.precision)
        return request_campaign(
            self.root, self.cells, self.protocol, chosen(self.seeds), self.campaign, settings, note
        )


class TrainingOptions(NamedTuple):
    """How to train: of `run`, `sensitivity` and `submit`."""

    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, callback=_finite, help="Least time between checkpoints.")
    ] = 30
    retry_failed: Annotated[bool, typer.Option(help="Train failed runs again.")] = False
    data_dir: DataDir = DATA
    cache_dir: CacheDir = CACHE


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters of the two types above are asked for as the options in them."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[CampaignOptions | TrainingOptions]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.annotation in (CampaignOptions, TrainingOptions):
            groups[name] = parameter.annotation
            parameters += inspect.signature(parameter.annotation).parameters.values()
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field: values.pop(field) for field in group._fields})
        command(**values)

    # typer takes the options from the signature; keywords, since some with defaults come before some without
    keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    wrapper.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    return wrapper
