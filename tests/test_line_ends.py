"""A checkout or a transfer that changes line ends loses nothing and stops nothing."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from replicate.plan.campaign import open_campaign
from replicate.records.record import glance, read_record, read_status
from replicate.results.aggregate import aggregate
from tests.making import Records

ROOT = Path(__file__).parents[1]
CELL = "table1/cifar10/flexpool"
Replicate = Callable[..., tuple[int, str, str]]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


def test_a_clone_has_the_bytes_that_were_committed(tmp_path: Path) -> None:
    """Also where git is told to write CRLF, as on Windows and in what is copied from there."""
    first, second = tmp_path / "first", tmp_path / "second"
    names = ("run_all.sh", ".gitattributes", "results/short-cpu/campaign.json", "docs/report.png")
    for name in names:
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, first / name)
    git(tmp_path, "init", "-q", "first")
    git(first, "add", ".")
    git(first, "commit", "-qm", "all")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "-q", "first", "second")
    for name in names:
        assert (second / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_campaign_with_other_line_ends_is_whole(records: Records, replicate: Replicate) -> None:
    campaign = records.begin([CELL], seeds=1)
    folder = records.leave(campaign, CELL, 0)
    aggregate(campaign)
    cells = (campaign.results / "cells.csv").read_bytes()
    text = [path for path in campaign.results.rglob("*") if path.suffix in (".csv", ".json")]
    for path in [*text, campaign.results / "SHA256SUMS"]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert glance(folder) == read_status(folder) == "done"
    assert read_record(folder) is not None
    assert replicate("status", "made")[:2] == (0, "made: 1 of 1 done\n")
    assert replicate("power", "made")[0] == 0
    assert (
        replicate("plan", "--campaign", "made")[1]
        .splitlines()[0]
        .startswith("campaign made: 1 of 1 done")
    )
    assert aggregate(open_campaign(records.root, "made")) == []
    assert (campaign.results / "cells.csv").read_bytes() == cells
    assert not list(campaign.results.glob("*.corrupt"))


def test_a_changed_number_is_damage_whatever_the_line_ends(records: Records) -> None:
    campaign = records.begin([CELL], seeds=1)
    folder = records.leave(campaign, CELL, 0)
    path = folder / "record.json"
    path.write_bytes(path.read_bytes().replace(b"90.0", b"91.0").replace(b"\n", b"\r\n"))
    assert read_status(folder) is None
