"""The verdicts of backups in the records: rows are added, and a backup's newest one counts."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from activities.common.effects import Change, Effect
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


class Verdict(BaseModel):
    """What a check of a backup came to."""

    backup_id: str
    good: bool
    detail: str


class Verdicts:
    """Keeps them; raises as `Ledger` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def of(self, database: str) -> dict[str, Verdict]:
        """Give each backup's newest verdict."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT DISTINCT ON (backup_id) backup_id, good, detail FROM runbooks.backup_verdicts
                WHERE database = %s ORDER BY backup_id, verdict_id DESC
                """,
                (database,),
            ).fetchall()
        return {row["backup_id"]: Verdict.model_validate(row) for row in found}

    def by(self, effect: Effect) -> Verdict | None:
        """Give the verdict that an earlier attempt of an effect has kept."""
        with self._ledger.read() as rows:
            row = rows.execute(
                "SELECT backup_id, good, detail FROM runbooks.backup_verdicts WHERE effect_key = %s", (effect.key,)
            ).fetchone()
        return Verdict.model_validate(row) if row else None

    def keep(self, database: str, verdict: Verdict, effect: Effect) -> bool:
        """Add a verdict, once an effect; tells whether it was added now."""

        def work(rows: Rows) -> Change:
            rows.execute(
                """
                INSERT INTO runbooks.backup_verdicts
                       (database, backup_id, good, detail, workflow_id, run_id, effect_key)
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                """,
                (
                    database,
                    verdict.backup_id,
                    verdict.good,
                    verdict.detail,
                    effect.workflow_id,
                    effect.run_id,
                    effect.key,
                ),
            )
            after = "verified" if verdict.good else "NOT GOOD"
            return Change(target=f"backup/{verdict.backup_id}", after=after, applied=True, note=verdict.detail)

        return self._ledger.once(effect, "backup.verify", work).applied
