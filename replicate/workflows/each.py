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
        UserError: there is none with that name, or it cannot be read.
    """
    if name is not None:
        yield from rows(open_campaign(root, name))
        return
    for one in campaign_names(root):
        try:
            found = list(rows(open_campaign(root, one)))
        except (UserError, OSError) as error:
            say(f"left out: campaign {one!r}: {error}")
        else:
            yield from found
