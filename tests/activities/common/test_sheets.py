"""A sheet is plain CSV, in which no cell is a formula."""

import pytest

from activities.common.sheets import safe, sheet


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\uff1d1"])
def test_a_cell_is_no_formula(cell: str) -> None:
    assert safe(cell).startswith("'")


def test_other_cells_stay() -> None:
    assert safe("ada@tensafe.io, a-b") == "ada@tensafe.io, a-b"


def test_a_sheet_is_rows_of_cells_whatever_is_in_them() -> None:
    rows = [("a,b", 'say "yes"'), ("=1+1", "two\nlines")]
    lines = b"".join(sheet(("id", "what"), rows)).decode().split("\r\n")
    assert lines[:2] == ["id,what", '"a,b","say ""yes"""']
    assert lines[2].startswith("'=1+1,")
    assert (len(lines), lines[3]) == (4, ""), "a line break of a cell is no row of its own"


def test_a_long_sheet_comes_in_pieces_and_none_of_it_twice() -> None:
    pieces = list(sheet(("n",), ((str(number),) for number in range(2500))))
    assert len(pieces) == 3
    assert b"".join(pieces).decode().split("\r\n") == ["n", *map(str, range(2500)), ""]


def test_a_sheet_without_rows_has_its_heads() -> None:
    assert list(sheet(("id", "at"), [])) == [b"id,at\r\n"]
