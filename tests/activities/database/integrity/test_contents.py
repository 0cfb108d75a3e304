"""Two contents are compared table by table, and what could not be read is never taken as unchanged."""

from activities.database.integrity.contents import CheckResult, Contents, TableChange, difference


def contents(**tables: int | None) -> Contents:
    """Give contents with these tables."""
    return Contents(tables=tables, last_transaction=None, checks=[], complete=True, seconds=0)


def test_tables_that_came_went_or_changed_are_told_in_order() -> None:
    found = difference(contents(same=3, gone=1, fewer=9), contents(same=3, new=2, fewer=8))
    assert found.same == 1
    assert found.changed == [
        TableChange(table="fewer", before=9, after=8),
        TableChange(table="gone", before=1, after=None),
        TableChange(table="new", before=None, after=2),
    ]


def test_a_table_that_was_unreadable_before_and_after_is_not_the_same() -> None:
    found = difference(contents(torn=None), contents(torn=None))
    assert (found.same, [str(change) for change in found.changed]) == (0, ["torn: ? → ? rows"])


def test_all_tables_differ_where_nothing_could_be_read_before() -> None:
    assert difference(None, contents(a=0, b=1)).same == 0


def test_the_first_twenty_are_shown_and_the_rest_counted() -> None:
    after = contents(**{f"t{number:02}": 1 for number in range(21)})
    lines = difference(None, after).lines()
    assert (lines[0], lines[19]) == ("t00: ? → 1 row", "t19: ? → 1 row")
    assert lines[20:] == ["1 more table differs", "0 tables have as many rows"]


def test_unread_tables_and_broken_rules_are_said_and_rules_that_hold_are_not() -> None:
    rules = [CheckResult(name="sums", passed=True), CheckResult(name="dates", passed=False, detail="gives rows")]
    found = contents(a=2, torn=None).model_copy(update={"checks": rules})
    assert str(found) == "2 rows in 2 tables; 1 table not read; dates: gives rows"
