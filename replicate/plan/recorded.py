"""What can be told of a campaign whose specs or request are gone: its records hold the specs they were
made by."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from replicate.plan.request import MOST_SEEDS, Request, new_request, union
from replicate.records.record import Record, sound_record
from replicate.records.run_folder import RECORD
from replicate.specs.catalogue import is_cell_name
from replicate.specs.spec import Dataset, Spec


def sound_records(runs_folder: Path) -> list[Record]:
    """Every record that can be read, in the order in which the runs were begun."""
    found = (sound_record(path.parent) for path in runs_folder.glob(f"*/{RECORD}"))
    return sorted(filter(None, found), key=lambda one: one.provenance.started)


def recorded_specs(runs_folder: Path, cells: Collection[str]) -> dict[str, Spec]:
    """Of the cells that have a sound record, as the latest one holds them."""
    found = ((one.cell, _spec(one)) for one in sound_records(runs_folder) if one.cell in cells)
    return {cell: spec for cell, spec in found if spec}


def _spec(record: Record) -> Spec | None:
    """None where today's specs have no place for what it says."""
    values: dict[str, Any] = {**dict.fromkeys(Spec.later), **record.spec}
    values["dataset"] = {**dict.fromkeys(Dataset.later), **values["dataset"]}
    try:
        return Spec.model_validate_json(json.dumps(values))
    except ValidationError:
        return None


def recorded_request(results: Path) -> Request | None:
    """What a campaign was asked for, as far as its records tell; None without any."""
    records = [one for one in sound_records(results / "runs") if is_cell_name(one.cell)]
    wanted = union(*({one.cell: [one.seed]} for one in records if one.seed < MOST_SEEDS))
    if not wanted:
        return None
    return new_request(results.name, records[-1].spec["protocol"]["name"], {}).asking(wanted)
