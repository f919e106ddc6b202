"""One campaign, or all of them: what is wrong with one does not hide the others."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from replicate.errors import UserError
from replicate.plan.campaign import Campaign, campaign_names, open_campaign
from replicate.text import say

Item = TypeVar("Item")


def of_each(
    root: Path, name: str | None, rows: Callable[[Campaign], Iterable[Item]]
) -> Iterator[Item]:
    """What `rows` gives of the campaign with that name, or of every one; one that cannot be read is a line.

    Raises:
        UserError: there is none with that name, or none that can be read.
    """
    if name is not None:
        yield from rows(open_campaign(root, name))
        return
    names, bad = campaign_names(root), list[str]()
    for one in names:
        try:
            found = list(rows(open_campaign(root, one)))
        except (UserError, OSError) as error:
            bad.append(str(error))
        else:
            yield from found
    if bad and len(bad) == len(names):
        raise UserError("\n".join(bad))
    for line in bad:
        say(f"left out: {line}")
