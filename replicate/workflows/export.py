"""One archive of a campaign, from which every number can be computed again."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from replicate.dispatch.code import PACKAGE, source_files
from replicate.errors import UserError
from replicate.files import atomic, checksums
from replicate.plan.campaign import Campaign, open_campaign
from replicate.results.csv_files import read_csv
from replicate.workflows import crate
from replicate.workflows.conclude import conclude

ENVIRONMENT = ("requirements.lock", "environment.yml", "pyproject.toml")
README = """\
# {name}: a replication of FlexPooling (VISAPP 2023)

| | |
| --- | --- |
| `results/{name}/*.csv`, `*.csv.gz` | every number: one row per cell, per run, per epoch |
| `results/{name}/runs/` | the records that these were made from, one folder per run |
| `results/{name}/campaign.json` | what was asked for: protocol, cells, seeds |
| `reports/{name}/` | the report: report.md, report.html, tables.tex, figures |
| `reports/{name}/claims.json` | of each claim: what the paper says, what was found, its test and cost |
| `experiments/` | every spec, and the paper's tables, claims and open points |
| `requirements.lock`, `environment.yml` | the environment |
| `ro-crate-metadata.json` | what this is and holds, for machines (RO-Crate) |
| `replicate/` | the code that reads all this |

Every number again, from the records alone, in an environment with the pinned libraries
(`pip install -r requirements.lock`) and in this folder:

```bash
python -m replicate aggregate {name}
python -m replicate report {name}
```

The runs themselves again, on any machine with the data sets:

```bash
{runs}
```

Commits of the code that trained: {commits}.
"""


def export(root: Path, name: str, target: Path | None = None) -> Path:
    """Make the CSV files and the report anew, and pack them with all that they come from.

    The same content gives the same bytes. Returns the path of the archive, by default <name>.tar.gz
    in the current folder.

    Raises:
        UserError: no such campaign, a record, file or folder that is missing, or another file in its place.
    """
    campaign = open_campaign(root, name)
    for needed in ENVIRONMENT:  # first, so that nothing is written where one is missing
        if not (root / needed).is_file():
            raise UserError(f"{root / needed}: not there; export from a checkout of the project")
    target = target or Path(f"{name}.tar.gz")
    if target.exists() and not _is_archive(target, name):
        raise UserError(
            f"{target}: exists, and is no archive of campaign {name}: name another --output"
        )
    conclude(campaign)
    try:
        archive = _packed(name, _described(campaign, dict(_files(campaign))))
        atomic.write_bytes(target, archive)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from None
    return target


def _is_archive(path: Path, name: str) -> bool:
    try:
        atomic.require_regular(path)
        with tarfile.open(path, "r:gz") as tar:
            first = tar.next()
            return first is not None and first.name.startswith(f"{name}/")
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        return False


def _described(campaign: Campaign, files: dict[str, bytes]) -> dict[str, bytes]:
    """With a file that says what they are."""
    begun = read_csv(campaign, "provenance.csv")["started"]
    day = max(begun, default="1970-01-01")[:10]  # no run, no day
    return {**files, crate.FILE: crate.metadata(campaign.request.name, day, files)}


def _files(campaign: Campaign) -> Iterator[tuple[str, bytes]]:
    """Every file of the archive, by its path in it."""
    root, name = campaign.root, campaign.request.name
    yield "README.md", _readme(campaign).encode()
    for file in ENVIRONMENT:
        yield file, (root / file).read_bytes()
    for folder in (PACKAGE, root / "experiments"):
        yield from _contents(folder, folder.name, source_files(folder))
    results = f"results/{name}"
    yield from _below(
        campaign.results, results, "campaign.json", "*.csv", "*.csv.gz", checksums.FILE
    )
    yield from _below(campaign.runs_folder, f"{results}/runs", "record.json", "pools.npz")
    yield from _below(
        root / "reports" / name, f"reports/{name}", "*.md", "*.html", "*.tex", "*.json", "*.svg"
    )


def _below(folder: Path, prefix: str, *patterns: str) -> Iterator[tuple[str, bytes]]:
    return _contents(folder, prefix, (path for one in patterns for path in folder.rglob(one)))


def _contents(folder: Path, prefix: str, paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path}: a link out of {folder}: replace it by what is meant")
        yield f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _packed(folder: str, files: dict[str, bytes]) -> bytes:
    """A .tar.gz without times, owners or an order of its own."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _readme(campaign: Campaign) -> str:
    request = campaign.request
    commits = set(read_csv(campaign, "provenance.csv")["commit"]) - {""}
    again = request.model_copy(update={"name": f"{request.name}-again"})
    runs = [f"python -m {again.command(cells, cells[0])}" for cells in request.groups().values()]
    return README.format(
        name=request.name,
        runs="\n".join(runs),
        commits=", ".join(sorted(commits)) or "unknown, the runs were not made in a git checkout",
    )
