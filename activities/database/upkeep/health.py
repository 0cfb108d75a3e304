"""The health of a PostgreSQL server and of a database on it (runbook 6.2 step 1, 7.1 step 4).

`tensafe-admin db health`: connections, replicas, wraparound, cache, dead rows, wasted room, what holds vacuum back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from activities.catalogue.database import MaintenancePolicy
from activities.database.servers.servers import Connection, OnServer
from activities.database.upkeep.holders import Holder, holders
from activities.database.upkeep.sessions import unseen
from activities.database.upkeep.tables import IndexState, TableState, indexes, tables, unknown
from audit.text import counted, noun

_MOST = 100
_READS_THAT_COUNT = 100_000
_FACTS = """
    SELECT clock_timestamp() AS at, pg_is_in_recovery() AS in_recovery,
           current_setting('server_version') AS version, pg_database_size(current_database()) AS size,
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true), '0')::int AS connections_limit,
           -- Without backend_type: one that we may not see. They are taken, whoever they are.
           (SELECT count(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL) AS connections,
           d.blks_hit + d.blks_read AS reads,
           CASE WHEN d.blks_hit + d.blks_read > 0 THEN d.blks_hit::float / (d.blks_hit + d.blks_read) END AS cache_hit,
           (SELECT sum(checksum_failures)::bigint FROM pg_stat_database
            WHERE datname = current_database() OR datid = 0) AS checksum_failures,
           ARRAY(SELECT datname::text FROM pg_stat_database
                 WHERE checksum_failures > 0 AND datname <> current_database() ORDER BY 1) AS damaged_databases,
           (SELECT max(age(datfrozenxid)) FROM pg_database) AS xid_age,
           (SELECT datname FROM pg_database WHERE datname <> current_database()
               AND greatest(age(datfrozenxid), mxid_age(datminmxid)) > (
                   SELECT greatest(age(own.datfrozenxid), mxid_age(own.datminmxid)) FROM pg_database own
                   WHERE own.datname = current_database())
               ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 1) AS older_database,
           (SELECT max(mxid_age(datminmxid)) FROM pg_database) AS multixact_age,
           current_setting('autovacuum_freeze_max_age')::int AS freeze_max_age,
           current_setting('autovacuum_multixact_freeze_max_age')::int AS multixact_freeze_max_age,
           current_setting('autovacuum')::bool AS autovacuum, current_setting('track_counts')::bool AS counts
    FROM pg_stat_database d WHERE d.datname = current_database()
"""
# A receiver (pg_receivewal) replays nothing, so its replay lag grows for ever, and it flushes whole segments.
_REPLICAS = """
    SELECT application_name AS name, coalesce(state, '') AS state, coalesce(sync_state, '') AS sync_state,
           replay_lsn IS NOT NULL AS replays,
           greatest(pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
               coalesce(replay_lsn, write_lsn, flush_lsn, sent_lsn)), 0)::bigint AS lag_bytes,
           CASE WHEN replay_lsn IS NOT NULL THEN extract(epoch FROM replay_lag)::float END AS lag_seconds
    FROM pg_stat_replication ORDER BY 1
"""
_SLOTS = """
    SELECT slot_name AS name, active, coalesce(wal_status, '') AS wal_status,
           greatest(pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
               restart_lsn), 0)::bigint AS kept
    FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""


class DatabaseHealthRequest(OnServer):
    """Which database, and what of it is looked at closely."""

    policy: MaintenancePolicy = MaintenancePolicy()
    tables: list[str] = Field(default_factory=list, description="Reported whatever their state.")
    indexes: list[str] = Field(default_factory=list, description="Reported whatever their state; or their tables.")


class ReplicaState(BaseModel):
    """One server, or archiver, that streams from this one."""

    name: str
    state: str
    sync_state: str = ""
    replays: bool = Field(default=True, description="It is a replica, and no mere receiver of the log.")
    lag_bytes: int = 0
    lag_seconds: float | None = Field(default=None, description="None where there is nothing to replay.")

    def __str__(self) -> str:
        late = f", {self.lag_seconds:.1f} s" if self.lag_seconds is not None else ""
        return f"{self.name} {self.state} ({size(self.lag_bytes)}{late} behind)"


class SlotState(BaseModel):
    """One replication slot: its log is kept until it is read."""

    name: str
    active: bool
    wal_status: str
    kept: int | None = Field(description="Bytes.")


class Figures(BaseModel):
    """The health in numbers, to be compared before and after."""

    size: int = Field(description="Bytes of the database.")
    dead_rows: int
    index_waste: int = Field(description="Bytes.")
    oldest_age: int = Field(description="Transactions since the oldest row of the database that isn't frozen.")
    invalid_indexes: int
    connections: int
    cache_hit: float | None = None

    def __str__(self) -> str:
        return (
            f"{size(self.size)}, {self.dead_rows:,} dead {noun(self.dead_rows, 'row')}, "
            f"{size(self.index_waste)} wasted in indexes, "
            f"oldest row {self.oldest_age:,} {noun(self.oldest_age, 'transaction')} old, "
            f"{counted(self.invalid_indexes, 'invalid index', 'invalid indexes')}"
        )


class DatabaseHealth(BaseModel):
    """What `db health` shows."""

    at: datetime = Field(description="By the server's clock.")
    in_recovery: bool = Field(description="It is a replica.")
    version: str
    size: int = Field(description="Bytes.")
    connections: int
    connections_limit: int = Field(description="Without those kept for superusers.")
    reads: int = Field(description="Blocks read since statistics began.")
    cache_hit: float | None = Field(description="Share of them that were in memory.")
    checksum_failures: int | None = Field(
        description="In the database and what all share; None where the server has no checksums."
    )
    damaged_databases: list[str] = Field(default_factory=list, description="Others of the server that have some.")
    xid_age: int = Field(description="Of all databases of the server.")
    multixact_age: int
    older_database: str | None = Field(default=None, description="Another one, where its rows are the oldest.")
    freeze_max_age: int
    multixact_freeze_max_age: int
    autovacuum: bool
    counts: bool = Field(default=True, description="The server counts what changes in tables.")
    unseen: list[str] = Field(default_factory=list, description="Sessions that don't tell what they do, and why.")
    replicas: list[ReplicaState] = Field(default_factory=list)
    slots: list[SlotState] = Field(default_factory=list)
    holders: list[Holder] = Field(default_factory=list)
    tables: list[TableState] = Field(
        default_factory=list, description="Notable ones: to be frozen first, then the most dead rows."
    )
    indexes: list[IndexState] = Field(default_factory=list, description="Notable ones, the most waste first.")
    more_tables: int = Field(default=0, description="Notable ones that are not listed.")
    more_indexes: int = Field(default=0, description="Notable ones that are not listed.")
    figures: Figures
    unknown: list[str] = Field(default_factory=list, description="Names of the request that there are none of.")

    def __str__(self) -> str:
        cache = f", {self.cache_hit:.1%} from memory" if self.cache_hit is not None else ""
        replicas = f", {', '.join(map(str, self.replicas))}" if self.replicas else ""
        age = f", age {self.xid_age:,} of {self.freeze_max_age:,}"
        connections = f"{self.connections} of {counted(self.connections_limit, 'connection')}"
        return f"{self.figures}; {connections}{cache}{age}{replicas}"

    def problems(self, policy: MaintenancePolicy, *, replicas: int = 0) -> Iterator[str]:
        """Say what is wrong beyond what vacuum and reindex mend; `replicas` are expected to stream."""
        yield from self._server_problems(policy)
        yield from self._replica_problems(policy, replicas)
        yield from (holder.problem for holder in self.holders)
        for sessions in self.unseen:
            yield f"neither long queries nor what holds vacuum back is seen of {sessions}"

    def _server_problems(self, policy: MaintenancePolicy) -> Iterator[str]:
        if self.connections > policy.connections_share * self.connections_limit:
            limit = counted(self.connections_limit, "connection")
            yield f"{self.connections} of {limit} {noun(self.connections, 'is', 'are')} taken"
        if self.checksum_failures:
            failures = counted(self.checksum_failures, "checksum failure")
            yield f"{failures}: data is damaged, see point-in-time-restore (7.3)"
        if self.damaged_databases:
            yield f"checksum failures in other databases of the server: {', '.join(self.damaged_databases)}"
        if not self.autovacuum:
            yield "autovacuum is off"
        if not self.counts:
            yield "track_counts is off: nobody counts dead rows, and autovacuum does nothing"
        if self.cache_hit is not None and self.reads > _READS_THAT_COUNT and self.cache_hit < policy.cache_hit:
            yield f"only {self.cache_hit:.1%} of reads come from memory"
        if self.xid_age > self.freeze_max_age or self.multixact_age > self.multixact_freeze_max_age:
            since = f"{self.xid_age:,} {noun(self.xid_age, 'transaction')} since the oldest row that isn't frozen"
            where = f", in the database {self.older_database}: vacuum that one" if self.older_database else ""
            yield f"autovacuum doesn't keep up: {since}{where}"

    def _replica_problems(self, policy: MaintenancePolicy, expected: int) -> Iterator[str]:
        streaming = sum(replica.replays and replica.state == "streaming" for replica in self.replicas)
        if streaming < expected:
            yield f"{streaming} of {counted(expected, 'replica')} {noun(streaming, 'streams', 'stream')}"
        for replica in self.replicas:
            late = timedelta(seconds=replica.lag_seconds or 0)
            if replica.lag_bytes > policy.lag_bytes or late > policy.lag:
                yield f"{'replica' if replica.replays else 'receiver'} {replica}"
        for slot in self.slots:
            if slot.wal_status == "lost":
                yield (
                    f"slot {slot.name} is lost: the log that its reader needs is gone, so that has to begin anew; "
                    f"the slot keeps nothing, and goes by pg_drop_replication_slot('{slot.name}')"
                )
            elif slot.wal_status == "unreserved" or (not slot.active and (slot.kept or 0) > policy.lag_bytes):
                yield f"slot {slot.name} is {'active' if slot.active else 'inactive'} and keeps {size(slot.kept or 0)}"


def measure(connection: Connection, request: DatabaseHealthRequest) -> DatabaseHealth:
    """Look at the server, and at the tables and indexes of the database."""
    policy = request.policy
    facts = connection.execute(_FACTS).fetchone() or {}
    all_tables = tables(connection, policy, [*request.tables, *request.indexes])
    all_indexes = indexes(connection, policy, request.indexes)
    notable = _notable_indexes(all_indexes, policy)
    limits = Limits(
        age=policy.freeze_share * int(facts["freeze_max_age"]),
        multixact_age=policy.freeze_share * int(facts["multixact_freeze_max_age"]),
    )
    to_look_at = notable_tables(all_tables, policy, limits, request.tables)
    return DatabaseHealth(
        **facts,
        replicas=[ReplicaState.model_validate(row) for row in connection.execute(_REPLICAS)],
        slots=[SlotState.model_validate(row) for row in connection.execute(_SLOTS)],
        holders=holders(connection, policy),
        unseen=unseen(connection),
        tables=to_look_at[:_MOST],
        more_tables=len(to_look_at[_MOST:]),
        indexes=notable[:_MOST],
        more_indexes=len(notable[_MOST:]),
        figures=Figures(
            size=facts["size"],
            dead_rows=sum(table.dead for table in all_tables),
            index_waste=sum(index.wasted for index in all_indexes if index.size >= policy.index_size),
            oldest_age=max((table.age for table in all_tables), default=0),
            invalid_indexes=sum(not index.valid for index in all_indexes),
            connections=facts["connections"],
            cache_hit=facts["cache_hit"],
        ),
        unknown=[
            *(f"tables: {name}" for name in unknown(request.tables, all_tables)),
            # It may name tables: all of their indexes.
            *(f"reindex: {name}" for name in unknown(request.indexes, [*all_indexes, *all_tables])),
        ],
    )


@dataclass(frozen=True)
class Limits:
    """From where a table is to be frozen; transactions and multixacts each have their own."""

    age: float
    multixact_age: float

    def reached_by(self, table: TableState) -> bool:
        """Tell whether one of the table's ages is over its limit."""
        return table.age >= self.age or table.multixact_age >= self.multixact_age


def notable_tables(
    found: list[TableState], policy: MaintenancePolicy, limits: Limits, names: list[str]
) -> list[TableState]:
    """Give those that may need something: the named first, then those to be frozen, then the most dead rows."""
    for table in found:
        table.named = bool({table.name, table.full_name} & {*names})
    notable = [
        table
        for table in found
        if table.named
        or table.dead >= policy.dead_rows
        or max(table.changed, table.heirs_changed) >= policy.changed_rows
        or limits.reached_by(table)
    ]
    # One that is to be frozen can't wait for those that only grow.
    notable.sort(
        key=lambda table: (not table.named, not limits.reached_by(table), -table.dead, -table.changed, -table.age)
    )
    return notable


def _notable_indexes(found: list[IndexState], policy: MaintenancePolicy) -> list[IndexState]:
    notable = [
        index
        for index in found
        if index.named
        or not index.valid
        or (index.size >= policy.index_size and (index.bloat or 0) >= policy.index_bloat)
    ]
    return sorted(notable, key=lambda index: (not index.named, index.valid, -index.wasted))


def size(of: float) -> str:
    """Say a size as people do."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if of < 1024:  # noqa: PLR2004
            return f"{of:.0f} {unit}" if unit == "B" else f"{of:.1f} {unit}"
        of /= 1024
    return f"{of:.1f} TiB"
