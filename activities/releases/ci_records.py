"""CI status from our records, where CI itself writes it (`runbooks ci`)."""

from typing import TYPE_CHECKING, Any

from activities.records.ledger import Ledger
from activities.releases.ci import CiRequest, CiStatus

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


class RecordsCi:
    """The table `ci_results`; the newest result of a version counts."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def status(self, request: CiRequest) -> CiStatus:
        """Give the newest result of the version.

        Raises:
            Unavailable, Misconfigured: as `Ledger` does.

        """
        with self._ledger.read() as rows:
            newest = rows.execute(
                """
                SELECT verdict, detail, url FROM runbooks.ci_results
                WHERE service = %s AND version = %s
                ORDER BY at DESC, id DESC
                LIMIT 1
                """,
                (request.service, request.version),
            ).fetchone()
        return CiStatus.model_validate(newest) if newest else CiStatus(verdict="unknown", detail="no result reported")
