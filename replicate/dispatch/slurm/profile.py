"""How a cluster is asked for a task: a small YAML file of experiments/clusters, or one of the user's."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicate.errors import UserError
from replicate.files.typed import Count, StrictModel, read_yaml

Name = Annotated[str, Field(pattern=r"^[\w.,:+&|()\[\]*-]+$")]
Module = Annotated[str, Field(pattern=r"^[\w.+/-]+$")]
Line = Annotated[str, Field(pattern=r"^[^\n\r\x00]+$")]
Lines = Annotated[tuple[Line, ...], Field(strict=False)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
Positive = Annotated[float, Field(gt=0)]


class Profile(StrictModel):
    """One task's resources, and how many tasks there may be. Nothing has a default but null."""

    partition: Name | None
    account: Name | None
    qos: Name | None
    constraint: Name | None
    minutes: Annotated[int, Field(ge=2)]
    """The time limit of a task; SLURM may warn a minute early."""
    gpus: Annotated[int, Field(ge=0)]
    cpus: Count
    memory_gb: Positive
    parallel: Count
    """Tasks at once."""
    least_minutes: Annotated[float, Field(ge=0)]
    """Cells share a task until it lasts this long."""
    images_per_second: Positive
    """The training speed that is assumed where none has been recorded."""
    modules: Annotated[tuple[Module, ...], Field(strict=False)]
    setup: Lines
    environment: dict[Variable, Line]


def read_profile(root: Path, name: str) -> Profile:
    """A profile by its name in experiments/clusters, or by the path of a file that ends in .yaml.

    Raises:
        UserError: no such profile, or every problem of the file, a line each.
    """
    folder = root / "experiments" / "clusters"
    if name.endswith(".yaml"):
        return read_yaml(Path(name).expanduser(), Profile)
    known = sorted(path.stem for path in folder.glob("[!.]*.yaml"))
    if name not in known:
        raise UserError(
            f"no cluster profile {name!r} in {folder}: choose from {', '.join(known)}, or give a .yaml file"
        )
    return read_yaml(folder / f"{name}.yaml", Profile)
