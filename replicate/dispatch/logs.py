"""The ends of log files."""

from pathlib import Path


def tail(log: Path, characters: int = 4000) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - characters))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def last_line(log: Path) -> str:
    """What a process said last; what SLURM's own programs say of it counts only where it said nothing."""
    lines = [line.strip() for line in tail(log).split("\n") if line.strip()]
    own = [line for line in lines if not line.startswith(("srun: ", "slurmstepd: "))]
    return (own or lines or ["no last words"])[-1]
