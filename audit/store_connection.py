"""How the archive's parts speak to PostgreSQL, and what goes wrong then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from libraries import psycopg
from records_schema.refusals import broken_rule

if TYPE_CHECKING:
    from psycopg.rows import DictRow
    from psycopg_pool import ConnectionPool

    Rows = psycopg.Cursor[DictRow]
    Pool = ConnectionPool[Any]
else:
    Rows = Pool = Any  # for annotations alone: nobody needs psycopg for them


class StoreError(Exception):
    """The archive can't be used as asked; the message is for the operator. `passing`: trying again can help."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class StoreRefused(StoreError):  # noqa: N818 # as it is said
    """PostgreSQL answers, and does not take this very data."""


class DamagedRecord(StoreError):  # noqa: N818 # as it is said
    """A record of the archive can't be read any more; `seq` says which."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(f"record {seq} of the archive is damaged: {what}")
        self.seq, self.what = seq, what


@contextmanager
def rows(pool: Pool, *, transaction: bool = False) -> Iterator[Rows]:
    """Give a cursor with rows as dictionaries, in a transaction where asked.

    Raises:
        StoreError: PostgreSQL doesn't answer, refuses, or lacks the archive's tables.

    """
    try:
        with (
            pool.connection() as connection,
            connection.cursor(row_factory=psycopg.rows.dict_row, binary=True) as cursor,
        ):
            if transaction:
                with connection.transaction():
                    yield cursor
            else:
                yield cursor
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
        raise StoreError(
            "the archive's tables are missing or of another release: `python -m records_schema migrate`"
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(f"the archive refuses: {error.diag.message_primary}") from None
    except psycopg.errors.CheckViolation as error:  # somebody else was quicker at the end of the chain
        raise StoreError(f"the archive refuses: {error.diag.message_primary}", passing=True) from None
    except (psycopg.Error, UnicodeError) as error:
        _refused(error)


def _refused(error: "psycopg.Error | UnicodeError") -> NoReturn:
    rule = broken_rule(error)
    if rule is not None:
        raise StoreRefused(f"the archive can't hold this data: {rule}") from None
    if isinstance(error, psycopg.OperationalError | psycopg.errors.IdleInTransactionSessionTimeout):
        raise StoreError(f"the archive (PostgreSQL) did not answer ({type(error).__name__})", passing=True) from None
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    raise StoreError(f"the archive refuses: {said or type(error).__name__}") from None
