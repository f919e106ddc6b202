"""What an alternative means for a spec, spelt out key by key: the shipped files must say the same."""

from pydantic import ValidationError

from replicate.errors import UserError
from replicate.paper.ambiguities import Alternative
from replicate.plan.readings import differences
from replicate.specs.spec import Spec


def apply(spec: Spec, alternative: Alternative) -> Spec:
    """The spec with the alternative's values, and nothing else, changed.

    Raises:
        UserError: an unknown key, a value its key does not take, or one that it has already.
    """
    values = spec.model_dump()
    for key, value in alternative.changes.items():
        part, name = key.split(".")
        if not isinstance(values[part], dict) or name not in values[part]:
            raise UserError(f"{alternative.slug}: {key}: no such key in this cell's spec")
        values[part][name] = value
    try:
        changed = Spec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join(map(str, first["loc"])) or "spec"
        raise UserError(f"{alternative.slug}: {keys}: {first['msg']}") from None
    same = alternative.changes.keys() - differences(spec, changed)
    if same:
        raise UserError(f"{alternative.slug}: {', '.join(sorted(same))}: the cell has it already")
    return changed
