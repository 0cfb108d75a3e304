"""Makes an effect on the records happen once, in one transaction with its line in the audit log.

The audit log is the ledger: it has each effect's key at most once, so a second attempt, at whatever point the first
was lost, finds what was done and answers the same. An advisory lock on the key keeps attempts that overlap apart.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from activities.common.effects import Change, Effect
from activities.common.errors import Misconfigured, refusing_data, unavailable
from libraries import logger, psycopg

if TYPE_CHECKING:
    from psycopg.rows import DictRow
    from psycopg_pool import ConnectionPool

    Rows = psycopg.Cursor[DictRow]
else:
    Rows = Any  # for annotations alone: nobody needs psycopg for them

_log = logger(__name__)
_SYSTEM = "the records (PostgreSQL)"


class Ledger:
    """Runs effects and reads on the records' database."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._pool = pool

    def once(self, effect: Effect, action: str, work: Callable[[Rows], Change]) -> Change:
        """Do `work` unless its effect is in the audit log already, and write it there.

        `work` answers with `applied=False` where there was nothing to change, which leaves no line. In plan mode all
        of it happens and is rolled back.

        Raises:
            Unavailable: PostgreSQL doesn't answer, or took too long; nothing is known to have happened.
            Refused: the data breaks a rule of the database; says which, and not the data.
            Misconfigured: the schema is missing or too old, or the role lacks privileges.

        """
        with self._cursor(roll_back=effect.dry_run) as rows:
            rows.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (effect.key,))
            done = rows.execute(
                "SELECT target, before, after, note FROM runbooks.audit_log WHERE effect_key = %s", (effect.key,)
            ).fetchone()
            if done is not None:
                change = Change(applied=False, **done)
            else:
                change = work(rows)
                if change.applied:
                    _write(rows, effect, action, change)
        if effect.dry_run:
            change = change.model_copy(update={"applied": False})
        _log.info(
            "records effect",
            action=action,
            target=change.target,
            applied=change.applied,
            dry_run=effect.dry_run,
            effect=effect.key,
        )
        return change

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """Give a cursor of dict rows that sees one moment's data.

        Raises:
            Unavailable, Misconfigured: as `once` does.

        """
        with self._cursor(roll_back=True) as rows:
            rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield rows

    @contextmanager
    def _cursor(self, *, roll_back: bool) -> Iterator[Rows]:
        with (
            _typed_failures(),
            self._pool.connection() as connection,
            connection.transaction(force_rollback=roll_back),
            connection.cursor(row_factory=psycopg.rows.dict_row) as rows,
        ):
            yield rows


def _write(rows: Rows, effect: Effect, action: str, change: Change) -> None:
    rows.execute(
        """
        INSERT INTO runbooks.audit_log
               (actor, workflow_id, run_id, effect_key, action, target, before, after, note)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            effect.actor,
            effect.workflow_id,
            effect.run_id,
            effect.key,
            action,
            change.target,
            change.before,
            change.after,
            change.note,
        ),
    )


@contextmanager
def _typed_failures() -> Iterator[None]:
    try:
        with refusing_data("the records"):
            yield
    except psycopg.errors.ProgrammingError as error:
        raise Misconfigured(
            f"the records' schema or role does not fit this release ({type(error).__name__}): "
            "run `python -m records_schema migrate`, and check the role's privileges"
        ) from None
    except psycopg.Error as error:
        unavailable(_SYSTEM, error)
