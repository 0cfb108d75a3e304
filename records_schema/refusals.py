"""Whose fault PostgreSQL's refusal is: asked by everything of ours that writes into a database."""

import re

from libraries import psycopg

# SQLSTATE classes (postgresql.org/docs/current/errcodes-appendix.html): a value can't be stored, a constraint is
# broken, a view's check is, a trigger has raised, and what is larger than PostgreSQL can index or hold.
_DATA = ("22", "23", "44", "P0", "54")


_UNNAMED = (
    (re.compile(r"_(pkey|key\d*|idx\d*)$"), "there is such {thing} already"),
    (re.compile(r"_fkey\d*$"), "{thing} would name something that isn't there"),
    (re.compile(r"_check\d*$"), "{thing} can't have such a value"),
)
"""What PostgreSQL calls a constraint that nobody has named → what it means."""

_CHOSEN = {
    "tenants_pkey": "there is a customer of that ID already: give another one by `tenant_id`",
    "tenant_names_are_unique": "there is a customer of that name already, perhaps one that has left: give another name",
}
"""What people can choose otherwise → how."""


def sentence(constraint: str, table: str) -> str:
    """Say a constraint in words: our own names are sentences, PostgreSQL's get one."""
    if constraint in _CHOSEN:
        return _CHOSEN[constraint]
    for pattern, means in _UNNAMED:
        if pattern.search(constraint):
            return means.format(thing=_thing(table))
    return constraint.replace("_", " ")


def _thing(table: str) -> str:
    """Name what a table has one of in each row: `an API key` of `api_keys`."""
    words = table.replace("_", " ").replace("api ", "API ")
    one = words.removesuffix("es") if words.endswith("sses") else words.removesuffix("s")
    return f"an {one}" if one[0] in "aeiouA" else f"a {one}"


def broken_rule(error: BaseException) -> str | None:
    """Say which rule the data breaks, and never the data; None where it isn't the data's fault.

    Sending the same again can't help then: a caller raises `Refused`, and never `Unavailable`.
    """
    if isinstance(error, UnicodeError):
        return "a text has half a character in it, which is no Unicode"
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    # Without a state psycopg itself has refused a value, before anything was sent.
    if not state.startswith(_DATA) and not (isinstance(error, psycopg.DataError) and not state):
        return None
    if isinstance(error, psycopg.errors.IntegrityError):
        diag = error.diag
        if not diag.constraint_name or diag.column_name:
            return f"{diag.column_name or 'a column'} must be given"
        return sentence(diag.constraint_name, diag.table_name or "it")
    return f"a value can't be kept ({type(error).__name__})"
