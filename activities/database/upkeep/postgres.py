"""Looking after a PostgreSQL database (runbook 6.2): health, vacuum, reindex, long queries and their end.

`tensafe-admin db health|vacuum|reindex|queries|query kill`, without any of them stopping writes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import NotFound, Refused
from activities.database.servers.servers import Connection, Databases, OnServer
from activities.database.servers.versions import ONLY
from activities.database.upkeep.ending import Ended, EndSession, end
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest, measure
from activities.database.upkeep.holders import known
from activities.database.upkeep.indexes import drop, drop_leftovers, find_index, rebuild
from activities.database.upkeep.sessions import QueriesRequest, RunningQueries, running
from activities.database.upkeep.work import end_backend, left_running, work_session
from audit.text import counted
from libraries import logger, sql

_log = logger(__name__)
_EARLIER = "done by an earlier attempt, or by somebody else since it was looked at"
# A partitioned table is never vacuumed itself; before PostgreSQL 14 nobody keeps when it was analyzed, so it is again.
_VACUUMED = """
    SELECT s.last_analyze > %(since)s AND (%(analyze_only)s OR CASE c.relkind
               WHEN 'p' THEN (  -- one that was never vacuumed says nothing, and bool_and passes over it
                   SELECT bool_and(coalesce(ls.last_vacuum > %(since)s AND ls.last_analyze > %(since)s, false))
                   FROM pg_partition_tree(c.oid) p JOIN pg_stat_all_tables ls ON ls.relid = p.relid WHERE p.isleaf)
               ELSE s.last_vacuum > %(since)s END) AS done, c.relkind = 'p' AS partitioned,
           coalesce(s.n_dead_tup, 0) AS dead, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
           greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'm', 'p')
"""


class VacuumTable(OnServer):
    """`tensafe-admin db vacuum --analyze` of one table. Room is freed for new rows; it isn't given back to the disk."""

    table_schema: str
    table: str
    since: datetime = Field(description="When it was looked at, by the server's clock: vacuumed later, it is done.")
    freeze: bool = Field(default=False, description="Its rows are so old that all of them are to be frozen.")
    analyze_only: bool = Field(default=False, description="Of a partitioned table: its own statistics.")
    within: timedelta = Field(description="The longest it may take, over all attempts.")
    effect: Effect


class ReindexIndex(OnServer):
    """`tensafe-admin db reindex` of one index, while everybody goes on reading and writing."""

    index_schema: str
    index: str
    oid: int = Field(description="As it was seen: with another one, or none, it has been rebuilt.")
    within: timedelta = Field(description="The longest it may take, over all attempts.")
    effect: Effect


class DropLeftover(OnServer):
    """Drop an invalid index beside which another has all that it would have."""

    index_schema: str
    index: str
    oid: int = Field(description="As it was seen.")
    effect: Effect


class StopWork(OnServer):
    """End what a step of the run may have left at work, and take away what it has half built."""

    work: str = Field(description="The effect key of the step.")
    index_schema: str = ""
    index: str = Field(default="", description="The index it was to rebuild, if it was.")
    effect: Effect


class Postgres:
    """Acts on the servers of the services' databases.

    Raises from every method what `Databases.connect` raises.
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    @activity.defn(name="postgres.health")
    def health(self, request: DatabaseHealthRequest) -> DatabaseHealth:
        """Look at a server and its database (6.2 step 1)."""
        with self._databases.connect(request, statement_timeout=timedelta(seconds=30)) as connection:
            found = measure(connection, request)
        matters = any(table.dead >= request.policy.dead_rows for table in found.tables)
        found.holders = known(found.holders, self._databases, request, request.policy, matters=matters)
        return found

    @activity.defn(name="postgres.queries")
    def queries(self, request: QueriesRequest) -> RunningQueries:
        """List what runs long and who waits for whom (6.2 step 4)."""
        with self._databases.connect(request) as connection:
            return running(connection, request)

    @activity.defn(name="postgres.vacuum", no_thread_cancel_exception=True)
    @effect
    def vacuum(self, request: VacuumTable) -> Change:
        """Vacuum and analyze a table (6.2 step 2). Heartbeats its progress; cancelled, the server's work ends too.

        Raises:
            NotFound: there is no such table any more.
            Refused: the server is a replica; it took too long; somebody cancelled it on the server.

        """
        target = f"table/{request.table_schema}.{request.table}"
        after = "analyzed" if request.analyze_only else f"vacuumed{', frozen' if request.freeze else ''} and analyzed"
        with self._databases.connect(request) as watch:
            _writable(watch, request)
            before = self._seen(watch, request)
            if request.effect.dry_run:
                return Change(target=target, before=before.shown, after=after, applied=False)
            with work_session(self._databases, request, request.effect, watch, request.within) as session:
                seen = self._seen(watch, request)
                applied = not seen.done
                if applied:
                    session.execute(_vacuum(request, watch.info.server_version, partitioned=seen.partitioned))
            note = "" if applied else _EARLIER
        _log.info("vacuumed", target=target, applied=applied, effect=request.effect.key)
        return Change(target=target, before=before.shown, after=after, applied=applied, note=note)

    @activity.defn(name="postgres.reindex", no_thread_cancel_exception=True)
    @effect
    def reindex(self, request: ReindexIndex) -> Change:
        """Rebuild an index concurrently (6.2 step 3); what a crash has left of it is dropped, and it is redone.

        Raises:
            NotFound: there is no such index any more.
            Refused: it can't be rebuilt (a replica, an exclusion constraint, rows that have its key twice or don't fit
                it); it took too long; somebody cancelled it on the server.

        """
        target = f"index/{request.index_schema}.{request.index}"
        with self._databases.connect(request) as watch:
            _writable(watch, request)
            before = find_index(watch, request.index_schema, request.index)
            if request.effect.dry_run:
                return Change(target=target, before=before.shown, after="rebuilt", applied=False)
            with work_session(self._databases, request, request.effect, watch, request.within) as session:
                found = find_index(watch, request.index_schema, request.index)
                dropped = drop_leftovers(watch, session, found)
                applied = not (found.valid and found.oid != request.oid)
                if applied:
                    rebuild(watch, session, found)
            after = find_index(watch, request.index_schema, request.index)
        notes = [*([] if applied else [_EARLIER]), *(f"dropped {name}, left by a crash" for name in dropped)]
        _log.info("reindexed", target=target, applied=applied, dropped=dropped, effect=request.effect.key)
        return Change(
            target=target, before=before.shown, after=f"rebuilt, {after.shown}", applied=applied, note="; ".join(notes)
        )

    @activity.defn(name="postgres.drop_leftover", no_thread_cancel_exception=True)
    @effect
    def drop_leftover(self, request: DropLeftover) -> Change:
        """Drop an invalid index that nobody needs (6.2 step 3); not applied where it is gone.

        Raises:
            Refused: it is valid, or something needs it.
            Conflict: an index of the same table is being built now.

        """
        target = f"index/{request.index_schema}.{request.index}"
        with self._databases.connect(request) as watch:
            _writable(watch, request)
            try:
                found = find_index(watch, request.index_schema, request.index)
            except NotFound:
                return Change(target=target, before="gone", after="dropped", applied=False, note=_EARLIER)
            found.check_needless(request.oid)
            if request.effect.dry_run:
                return Change(target=target, before=found.shown, after="dropped", applied=False)
            with work_session(self._databases, request, request.effect, watch, timedelta(minutes=10)) as session:
                drop(watch, session, found, found.name)
        return Change(target=target, before=found.shown, after="dropped", applied=True)

    @activity.defn(name="postgres.stop_work")
    @effect
    def stop_work(self, request: StopWork) -> Change:
        """End what was left running by a step that is given up, and drop the half of an index that it has built.

        Not applied where it has left nothing.
        """
        with self._databases.connect(request) as watch:
            pids = left_running(watch, request.work)
            ended, dropped = len(pids), list[str]()
            if not request.effect.dry_run:
                for pid in pids:
                    end_backend(watch, pid)
                if request.index:
                    dropped = self._drop_half(request, watch)
        did = [*([f"{counted(ended, 'session')} ended"] if ended else []), *(f"dropped {name}" for name in dropped)]
        applied = bool(did) and not request.effect.dry_run
        return Change(
            target=f"database/{request.database}", after="; ".join(did) or "nothing was left", applied=applied
        )

    def _drop_half(self, request: StopWork, watch: Connection) -> list[str]:
        try:
            found = find_index(watch, request.index_schema, request.index)
        except NotFound:
            return []
        with work_session(self._databases, request, request.effect, watch, timedelta(minutes=10)) as session:
            return drop_leftovers(watch, session, found)

    @activity.defn(name="postgres.end_session", no_thread_cancel_exception=True)
    @effect
    def end_session(self, request: EndSession) -> Ended:
        """End a query (6.2 step 5): cancelled first; its session is ended where it doesn't obey.

        Raises:
            Refused: it is ours, replication's, a background process's, or a superuser's that the request doesn't name.
            Unavailable: it doesn't end.

        """
        with self._databases.connect(request) as connection:
            return end(connection, request)

    def _seen(self, connection: Connection, request: VacuumTable) -> "_Seen":
        """Look whether a table was vacuumed and analyzed since, and how it is.

        Raises:
            NotFound: there is none.

        """
        which = {
            "since": request.since,
            "schema": request.table_schema,
            "table": request.table,
            "analyze_only": request.analyze_only,
        }
        row = connection.execute(_VACUUMED, which).fetchone()
        if row is None:
            raise NotFound(f"there is no table {request.table_schema}.{request.table} any more")
        at = row["analyzed_at" if row["partitioned"] else "vacuumed_at"]
        last = f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "never"
        if row["partitioned"]:
            return _Seen(bool(row["done"]), f"partitioned, last analyzed {last}", partitioned=True)
        return _Seen(bool(row["done"]), f"{counted(row['dead'], 'dead row')}, last vacuumed {last}", partitioned=False)


@dataclass(frozen=True)
class _Seen:
    """A table, as it was found."""

    done: bool
    shown: str
    partitioned: bool


def _vacuum(request: VacuumTable, server_version: int, *, partitioned: bool) -> "sql.Composed":
    """Write the statement. It does all partitions of a partitioned table, but for its own statistics where it can.

    Tables that inherit from one are tables of their own: each is done where it needs it.
    """
    only = (request.analyze_only or not partitioned) and server_version >= ONLY
    table = sql.SQL("ONLY {}" if only else "{}").format(sql.Identifier(request.table_schema, request.table))
    if request.analyze_only:
        return sql.SQL("ANALYZE {}").format(table)
    # Not TRUNCATE: it would lock readers out for a moment, and cancel queries on replicas.
    options = ["ANALYZE", "TRUNCATE false", *(["FREEZE"] if request.freeze else [])]
    return sql.SQL("VACUUM ({}) {}").format(sql.SQL(", ").join(map(sql.SQL, options)), table)


def _writable(connection: Connection, at: OnServer) -> None:
    """Refuse a replica.

    Raises:
        Refused: it is one.

    """
    row = connection.execute("SELECT pg_is_in_recovery() AS replica").fetchone()
    if row and row["replica"]:
        raise Refused(
            f"{at.database}/{at.server} is a replica: maintenance is done on the primary, and streams from there"
        )
