"""CI status from our records, where CI itself writes it (`runbooks ci`)."""

from typing import Any

from psycopg_pool import ConnectionPool

from activities.ci import CiRequest, CiStatus


class RecordsCi:
    """The table `ci_results`; the newest result of a version counts."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def status(self, request: CiRequest) -> CiStatus:
        """Give the newest result of the version."""
        raise NotImplementedError
