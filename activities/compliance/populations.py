"""Everything of one kind that a period has, out of our records: counted, drawn from, and given whole as CSV.

A draw takes the smallest of SHA-256(SEED/POPULATION/ID). So it takes one pass and no memory, every item is as likely,
and whoever has the population draws the same with `sha256sum`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from activities.common.sheets import sheet
from audit.compliance import Gap, Population, Sample
from audit.store_connection import Pool, Rows, rows
from audit.text import counted, noun, shown

EFFECTS = "effects"
"""What audit-log.json has whole."""

_PAGE = 2000
_LONGEST = 500


@dataclass(frozen=True)
class Source:
    """Where a population is, as expressions of SQL; `at` is what makes it belong to a period."""

    name: str
    title: str
    table: str
    id: str
    at: str
    who: str
    what: str
    only: str = "true"

    @property
    def file(self) -> str:
        """The package's file that has all of it."""
        return "audit-log.json" if self.name == EFFECTS else f"populations/{self.name}.csv"

    @property
    def source(self) -> str:
        """Where it is from, for people."""
        return f"{self.table}, by {self.at}" + (f", where {self.only}" if self.only != "true" else "")

    @property
    def items(self) -> str:
        """Give the query of all of it, with `since` and `until`."""
        return (
            f"SELECT ({self.id})::text AS id, {self.at} AS at, left({self.who}, {_LONGEST}) AS who, "  # noqa: S608
            f"left({self.what}, {_LONGEST}) AS what FROM runbooks.{self.table} "
            f"WHERE {self.at} >= %(since)s AND {self.at} < %(until)s AND {self.only}"
        )


def _runs(name: str, title: str, *procedures: str) -> Source:
    named = ", ".join(f"'{procedure}'" for procedure in procedures)
    return Source(
        name,
        title,
        "archive_index",
        "seq",
        "ended_at",
        "array_to_string(actors, ', ')",
        "concat_ws(' ', procedure, service, outcome, '(' || status || ')', workflow_id)",
        f"procedure IN ({named})" if procedures else "true",
    )


_ARCHIVE = "Archive of runs"
_RUNS = _runs("runs", "Runs of procedures, archived and signed")
SOURCES: tuple[Source, ...] = (
    _RUNS,
    Source(
        "deployments",
        "Deployments and rollbacks",
        "deployments",
        "id",
        "started_at",
        "deployer",
        "concat_ws(' ', service, version, status, nullif(reason, ''))",
    ),
    Source(
        "test_results",
        "Results of tests before a release",
        "ci_results",
        "id",
        "at",
        "reported_by",
        "concat_ws(' ', service, version, verdict)",
    ),
    Source(
        "maintenance_windows",
        "Maintenance windows",
        "maintenance_windows",
        "window_id",
        "starts_at",
        "created_by",
        "concat_ws(' ', service, status, title)",
    ),
    Source(
        "incidents",
        "Incidents",
        "incidents",
        "incident_id",
        "opened_at",
        "commander",
        "concat_ws(' ', severity, service, status, title)",
    ),
    Source(
        "post_mortems",
        "Post-mortems",
        "post_mortems",
        "incident_id",
        "scheduled_for",
        "''",
        "concat_ws(' ', 'of', incident_id, nullif(draft_uri, ''))",
    ),
    Source(
        "alerts",
        "Alerts",
        "alerts",
        "id",
        "recorded_at",
        "acknowledged_by",
        "concat_ws(' ', severity, service, name, status)",
    ),
    Source(
        "pages",
        "Pages of people on call",
        "pages",
        "id",
        "paged_at",
        "paged",
        "concat_ws(' ', severity, service, 'level', level, summary)",
    ),
    Source(
        "daily_reports",
        "Reports of days",
        "daily_reports",
        "service || '/' || day",
        "made_at",
        "''",
        "concat_ws(' ', service, day)",
    ),
    _runs("scaling_runs", "Runs that change capacity", "ManualScaleUp", "EmergencyScaleUp", "AddGpuNode"),
    _runs(
        "recovery_runs",
        "Runs of failover, recovery and restore",
        "DatabaseFailover",
        "FullServiceRecovery",
        "PointInTimeRestore",
    ),
    _runs("database_runs", "Runs of database maintenance", "DatabaseMaintenance"),
    _runs("certificate_runs", "Runs of certificate renewal", "CertificateRenewal"),
    Source(
        "backup_verdicts",
        "Verdicts on backups",
        "backup_verdicts",
        "verdict_id",
        "checked_at",
        "''",
        "concat_ws(' ', database, backup_id, CASE WHEN good THEN 'good' ELSE 'bad' END, detail)",
    ),
    Source(
        "users_added",
        "Users of tenants added",
        "tenant_users",
        "user_id",
        "created_at",
        "''",
        "concat_ws(' ', tenant_id, role)",
    ),
    Source("keys_issued", "API keys issued", "api_keys", "key_id", "created_at", "''", "tenant_id"),
    Source(
        "keys_revoked",
        "API keys revoked",
        "api_keys",
        "key_id",
        "revoked_at",
        "''",
        "concat_ws(' ', tenant_id, revoked_for)",
    ),
    Source(
        "handovers",
        "Secrets handed over by one-time links",
        "handovers",
        "handover_id",
        "created_at",
        "''",
        "concat_ws(' ', tenant_id, CASE WHEN opened_at IS NULL THEN 'not opened' ELSE 'opened' END)",
    ),
    Source("evidence_access", "Looks at evidence", "archive_access", "id", "at", "who", "concat_ws(' ', action, what)"),
    Source(EFFECTS, "Effects on the records", "audit_log", "id", "at", "actor", "concat_ws(' ', action, target)"),
)


@dataclass(frozen=True)
class Period:
    """Whole days, UTC, both included."""

    start: date
    end: date

    @property
    def bounds(self) -> dict[str, datetime]:
        """Give its parameters for SQL: until is not included."""
        since = datetime.combine(self.start, time(), UTC)
        return {"since": since, "until": datetime.combine(self.end + timedelta(days=1), time(), UTC)}


@contextmanager
def snapshot(pool: Pool) -> Iterator[Rows]:
    """Give a cursor on the records as they are now, and stay: counts, samples and exports agree.

    Raises:
        StoreError: PostgreSQL doesn't answer, or refuses.

    """
    with rows(pool, transaction=True) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield cursor


def count(cursor: Rows, source: Source, period: Period) -> int:
    """Count a population."""
    query = f"SELECT count(*) AS items FROM ({source.items}) AS all_of_it"  # noqa: S608  expressions of ours alone
    row = cursor.execute(query.encode(), period.bounds)
    return int((row.fetchone() or {"items": 0})["items"])


def unarchived(cursor: Rows, period: Period) -> list[Gap]:
    """Say which runs of a period no population has: those that the archiver has not come to, or could not read."""
    bounds = period.bounds
    gaps = []
    behind = cursor.execute("SELECT min(until) AS until FROM runbooks.archive_cursor").fetchone()
    if behind and behind["until"] is not None and behind["until"] < bounds["until"]:
        why = f"it goes to {behind['until'].astimezone(UTC):%Y-%m-%d %H:%M} UTC: runs that ended later are missing"
        gaps.append(Gap(exhibit=_RUNS.file, source=_ARCHIVE, why=why))
    failed = cursor.execute(
        "SELECT count(*) AS runs, (array_agg(workflow_id ORDER BY closed_at, run_id))[1:5] AS some "
        "FROM runbooks.archive_failures WHERE closed_at >= %(since)s AND closed_at < %(until)s",
        bounds,
    ).fetchone()
    if failed and failed["runs"]:
        runs, some = failed["runs"], ", ".join(map(shown, failed["some"]))
        why = f"{counted(runs, 'run')} could not be archived and {noun(runs, 'is', 'are')} missing: {some}"
        gaps.append(Gap(exhibit=_RUNS.file, source=_ARCHIVE, why=f"{why}{', …' if runs > len(failed['some']) else ''}"))
    return gaps


def drawn(cursor: Rows, source: Source, period: Period, *, seed: str, most: int) -> Population:
    """Count a population and draw from it."""
    query = (
        "SELECT *, encode(sha256(convert_to(%(salt)s || id, 'UTF8')), 'hex') AS rank "  # noqa: S608
        f"FROM ({source.items}) AS all_of_it ORDER BY rank, id LIMIT %(most)s"
    )
    found = cursor.execute(query.encode(), {**period.bounds, "salt": f"{seed}/{source.name}/", "most": most}).fetchall()
    samples = tuple(
        Sample(
            id=shown(row["id"]),
            at=stamp(row["at"]),
            who=shown(row["who"] or ""),
            what=shown(row["what"] or ""),
            rank=row["rank"],
        )
        for row in found
    )
    return Population(
        name=source.name,
        title=source.title,
        source=source.source,
        file=source.file,
        count=count(cursor, source, period),
        samples=samples,
    )


def whole(cursor: Rows, source: Source, period: Period) -> Iterator[bytes]:
    """Give a population as CSV, piece by piece."""
    items = streamed(cursor, source.name, f"{source.items} ORDER BY at, id", period.bounds)
    heads = ("id", "at", "who", "what")
    yield from sheet(heads, ((row["id"], stamp(row["at"]), row["who"] or "", row["what"] or "") for row in items))


def streamed(cursor: Rows, name: str, query: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through an answer of any size: PostgreSQL keeps it, and gives a page at a time."""
    with cursor.connection.cursor(name=name, row_factory=cursor.row_factory) as kept:
        kept.itersize = _PAGE
        kept.execute(query.encode(), parameters)
        yield from kept


def stamp(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def named(names: Sequence[str]) -> list[Source]:
    """Give the sources of these names, in their own order."""
    return [source for source in SOURCES if source.name in names]
