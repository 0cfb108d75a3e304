"""Whether a database is damaged, and what is in it (runbook 7.3 steps 2 and 5): `tensafe-admin db integrity-check`.

amcheck reads every heap, its TOAST included, and every B-tree index. What it meets is caught relation by relation: a
page that can't be read says something about one table, and must not hide what is wrong with the next.
"""

import time
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.heartbeat import Progress, resume
from activities.database.integrity import checks, counts
from activities.database.integrity.checks import Damage
from activities.database.integrity.contents import Contents, ContentsRequest
from activities.database.integrity.side_by_side import SideBySide
from activities.database.servers.servers import Databases, OnServer
from audit.text import counted

_CONNECTIONS = 3
_SHOWN = 5
_KEPT = 200
"""Damages that are named; beyond that they are counted."""


class IntegrityRequest(OnServer):
    """Check a whole database."""

    all_rows_indexed: bool = Field(default=True, description="Look every row up in every B-tree index as well.")
    install: bool = Field(default=True, description="Create the extension amcheck where it is missing.")
    within: timedelta = Field(description="For all of it; what is left then is not checked.")


class IntegrityReport(BaseModel):
    """What was found. Nothing of a row's data is in it."""

    relations: int
    checked: int
    damaged: list[Damage]
    more: int = Field(default=0, description="Damages beyond those that are named.")
    checksum_failures: int | None = Field(description="Since the statistics' last reset; None without checksums.")
    complete: bool = Field(description="There was time for all of it.")
    seconds: float

    @property
    def good(self) -> bool:
        """All of it was checked, and nothing was found."""
        return self.complete and not self.damaged

    def __str__(self) -> str:
        parts = [f"{self.checked} of {counted(self.relations, 'relation')} checked"]
        found = len(self.damaged) + self.more
        names = ", ".join(dict.fromkeys(damage.name for damage in self.damaged[:_SHOWN]))
        parts.append(f"{found} damaged ({names})" if found else "none damaged")
        if self.checksum_failures:
            parts.append(counted(self.checksum_failures, "checksum failure"))
        if not self.complete:
            parts.append("not complete: its time was up")
        return f"{', '.join(parts)} ({self.seconds:.1f} s)"


class _Checked(Progress):
    """How far a check has come: all relations up to this OID are done."""

    after: int = 0
    checked: int = 0
    damaged: list[Damage] = Field(default_factory=list)
    more: int = 0


class _Counted(Progress):
    """The tables that are counted."""

    tables: dict[str, int | None] = Field(default_factory=dict)


class Integrity:
    """Looks at databases; raises as `Databases.connect` does."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    @activity.defn(name="integrity.check", no_thread_cancel_exception=True)
    def check(self, request: IntegrityRequest) -> IntegrityReport:
        """Check all heaps, B-tree indexes and the catalogue; on a primary, a standby or a restored server.

        An attempt that follows a dead worker's goes on behind the last relation that was done.

        Raises:
            Misconfigured: amcheck is missing and may not, or can't, be created there.

        """
        begun, progress = time.monotonic(), resume(_Checked)
        with self._databases.connect(request, statement_timeout=None) as connection:
            by = checks.amcheck(connection, install=request.install)
            relations = checks.relations(connection)
            catalogue = checks.catalogue(connection)
        rest = [relation for relation in relations if relation.oid > progress.after]
        with SideBySide(self._databases, request, _CONNECTIONS) as lanes:
            for relation, damages in lanes.over(
                rest,
                lambda connection, relation: checks.check(
                    connection, by, relation, all_rows_indexed=request.all_rows_indexed
                ),
                progress,
                within=request.within,
            ):
                progress.after, progress.checked = relation.oid, progress.checked + 1
                room = _KEPT - len(progress.damaged)
                progress.damaged += damages[:room]
                progress.more += len(damages[room:])
        with self._databases.connect(request) as connection:
            failures = checks.checksum_failures(connection)
        return IntegrityReport(
            relations=len(relations),
            checked=progress.checked,
            damaged=[*catalogue, *progress.damaged],
            more=progress.more,
            checksum_failures=failures,
            complete=progress.after >= max((relation.oid for relation in relations), default=0),
            seconds=time.monotonic() - begun,
        )

    @activity.defn(name="integrity.contents", no_thread_cancel_exception=True)
    def contents(self, request: ContentsRequest) -> Contents:
        """Count the rows of every table, read from the table itself, and try the settings' own rules."""
        begun, progress = time.monotonic(), resume(_Counted)
        with self._databases.connect(request) as connection:
            tables = counts.tables(connection)
            last = counts.last_transaction(connection)
        with SideBySide(self._databases, request, _CONNECTIONS) as lanes:
            rest = [table for table in tables if table.name not in progress.tables]
            for table, rows in lanes.over(rest, counts.count, progress, within=request.within):
                progress.tables[table.name] = rows
        complete = len(progress.tables) == len(tables)
        with self._databases.connect(request, statement_timeout=request.within) as connection:
            checks = [counts.passes(connection, check) for check in request.checks]
        return Contents(
            tables={table.name: progress.tables.get(table.name) for table in tables},
            last_transaction=last,
            checks=checks,
            complete=complete,
            seconds=time.monotonic() - begun,
        )
