"""How cells are named on the command line: briefly, and no other cell with them."""

import pytest

from replicate.results.sheets import patterns
from replicate.specs.catalogue import select

KNOWN = [
    *("table1/a/avgpool", "table1/a/flexpool", "table1/b/avgpool", "table1/b/flexpool"),
    *("table2/a/avgpool", "table2/a/flexpool"),
    *("extensions/one", "extensions/pools/max", "extensions/pools/lse"),
]


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (KNOWN[:6], []),
        (KNOWN[:4], ["table1"]),
        (KNOWN[:5], ["table1", "table2/a/avgpool"]),
        ([KNOWN[0], KNOWN[1], KNOWN[2]], ["table1/a", "table1/*/avgpool"]),
        ([KNOWN[0], KNOWN[2]], ["table1/*/avgpool"]),
        ([KNOWN[4]], ["table2/a/avgpool"]),
        (KNOWN[6:], ["extensions"]),
        (KNOWN[:7], ["table1", "table2", "extensions/one"]),
        (KNOWN[7:], ["extensions/pools"]),
        ([KNOWN[8]], ["extensions/pools/lse"]),
        ([*KNOWN[:4], "table1/gone"], ["table1", "table1/gone"]),
    ],
)
def test_cells_are_named_by_what_takes_in_no_other(cells: list[str], named: list[str]) -> None:
    assert patterns(cells, KNOWN) == named
    assert set(select(KNOWN, [one for one in named if one != "table1/gone"])) == {*cells} - {
        "table1/gone"
    }
