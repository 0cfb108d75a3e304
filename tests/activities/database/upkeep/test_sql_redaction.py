"""No literal of a query is in what is shown of it, whatever it looks like and wherever it is cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.database.upkeep.sql_redaction import redacted

SECRET = "sesame"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT * FROM t WHERE a = 'sesame' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT 'it''s sesame', x", "SELECT ?, x"),
        (r"SELECT E'it\'s sesame', x", "SELECT ?, x"),
        (r"SELECT 'C:\', 'sesame'", "SELECT ?…"),
        ("SELECT U&'sesame', B'01', x'ff', N'sesame'", "SELECT ?, ?, ?, ?"),
        ("DO $$ sesame $$", "DO ?"),
        ("DO $body$ 'x' $$ sesame $body$, y", "DO ?, y"),
        ('SELECT $1, t1.c2, "Odd \'name" FROM t1', 'SELECT $1, t1.c2, "Odd \'name" FROM t1'),
        ("SELECT 1.5e-3, .5, 0xff, 1_000", "SELECT ?, ?, ?, ?"),
        ("SELECT a -- sesame\n, b /* sesame /* nested */ sesame */ FROM t", "SELECT a , b FROM t"),
        ("SELECT a /* sesame", "SELECT a"),
        ("SELECT 'sesame", "SELECT ?…"),
        ("SELECT 'a''sesame", "SELECT ??…"),
        ("SELECT $x$sesame", "SELECT …"),
        ('SELECT "sesame', "SELECT …"),
        ("ALTER ROLE u PASSWORD 'sesame'", "ALTER ROLE u PASSWORD ?"),
        ("SELECT a<->b, c#>>'{sesame}'", "SELECT a<->b, c#>>?"),
        ("SELECT  a,\n\t b", "SELECT a, b"),
        ("", ""),
    ],
)
def test_literals_and_comments_go(query: str, shown: str) -> None:
    assert redacted(query) == shown
    assert SECRET not in redacted(query)


def test_it_is_shortened() -> None:
    assert redacted("SELECT " + "abc, " * 100, 20) == "SELECT abc, abc, ab…"


QUOTED = st.sampled_from(
    [
        lambda s: "'" + s.replace("'", "''") + "'",
        lambda s: "E'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'",
        lambda s: f"$q${s}$q$",
        lambda s: "/* " + s.replace("*/", "").replace("/*", "") + " */",
    ]
)
TEXT = st.text(alphabet=st.sampled_from("'\\\"$-/* ;x?\n"), max_size=12)


@given(st.lists(st.tuples(QUOTED, TEXT, TEXT), min_size=1, max_size=4), st.integers(0, 60), st.data())
def test_no_literal_is_ever_shown(literals: list[tuple[object, str, str]], cut: int, data: st.DataObject) -> None:
    parts = [quote(before + SECRET + after.replace("$q$", "")) for quote, before, after in literals]  # type: ignore[operator]
    query = "SELECT " + ", ".join(parts)
    length = data.draw(st.integers(0, len(query)))
    assert SECRET not in redacted(query)
    assert SECRET not in redacted(query[:length])
