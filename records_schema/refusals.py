"""Whose fault PostgreSQL's refusal is: asked by everything of ours that writes into a database."""

from libraries import psycopg

# SQLSTATE classes (postgresql.org/docs/current/errcodes-appendix.html): a value can't be stored, a constraint is
# broken, a view's check is, a trigger has raised, and what is larger than PostgreSQL can index or hold.
_DATA = ("22", "23", "44", "P0", "54")


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
        rule = (error.diag.constraint_name or "").replace("_", " ")
        return rule or f"{error.diag.column_name or 'a column'} must be given"
    return f"a value can't be kept ({type(error).__name__})"
