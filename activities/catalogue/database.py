"""What settings say of a service's database: its servers, and how far runs go with them (runbook 6.2, 7.1, 7.3).

Everything here is pinned in a run's history, so there are names only: how a server is reached, and by which commands,
is in the settings' `[databases.NAME]`, which no history sees.
"""

from datetime import time, timedelta

from pydantic import Field, model_validator

from activities.catalogue.base import ServicePolicy, Weekday
from activities.common.text import Key, Name, Words


class ServerPolicy(ServicePolicy):
    """One PostgreSQL server that the service may be pointed at."""

    secret: Key = Field(description="Kubernetes Secret, in the service's namespace, with the server's URL.")
    spare: bool = Field(default=False, description="Free for a restore: whatever is on it may be made anew.")


class MaintenancePolicy(ServicePolicy):
    """When a table or index is worth the work, and what is too long, too old or too much (runbook 6.2).

    Where a table or index is under its floor, its shares don't count: what is small is never worth the work.
    """

    weekly_on: Weekday | None = Field(default="sun", description="When it is looked after; None: by hand alone.")
    weekly_at: time = Field(default=time(3, 0), description="In the service's time zone.")
    dead_share: float = Field(default=0.1, gt=0, le=1, description="Dead rows of all from which a table is vacuumed.")
    dead_rows: int = Field(default=10_000, ge=1, description="Floor of dead rows.")
    changed_share: float = Field(
        default=0.1, gt=0, description="Rows changed since the last ANALYZE, of all, that make statistics stale."
    )
    changed_rows: int = Field(default=10_000, ge=1, description="Floor of changed rows.")
    freeze_share: float = Field(
        default=0.8, gt=0, le=1, description="Of autovacuum_freeze_max_age, from which a table's old rows are frozen."
    )
    index_bloat: float = Field(
        default=0.4, gt=0, lt=1, description="Wasted share of a B-tree index from which it is rebuilt."
    )
    index_size: int = Field(default=10 * 2**20, ge=0, description="Floor of an index's size, bytes.")
    measure_within: timedelta = Field(
        default=timedelta(minutes=2),
        gt=timedelta(0),
        description="For exact measuring by pgstattuple, which reads tables and indexes; the rest is estimated.",
    )
    most_tables: int = Field(default=20, ge=1, le=200, description="That one run vacuums, the worst first.")
    most_indexes: int = Field(default=10, ge=1, le=200, description="That one run rebuilds, the worst first.")
    longest_vacuum: timedelta = Field(default=timedelta(hours=4), gt=timedelta(0), description="Of one table.")
    longest_reindex: timedelta = Field(default=timedelta(hours=4), gt=timedelta(0), description="Of one index.")
    connections_share: float = Field(default=0.8, gt=0, le=1, description="Of max_connections: a problem above it.")
    lag_bytes: int = Field(default=64 * 2**20, ge=0, description="Of a replica: a problem above it.")
    lag: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0), description="Of a replica's replay.")
    cache_hit: float = Field(default=0.95, ge=0, le=1, description="Share of reads from memory: a problem below it.")
    holds_back: timedelta = Field(
        default=timedelta(hours=1), gt=timedelta(0), description="A transaction this old keeps vacuum from cleaning."
    )
    decision_timeout: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0), description="Whom to end.")
    cancel_within: timedelta = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        le=timedelta(minutes=5),
        description="For a query to obey; then its session is ended.",
    )
    verify_backup: bool = Field(default=True, description="Check the newest backup where nobody has yet.")
    longest_verify: timedelta = Field(default=timedelta(hours=6), gt=timedelta(0), description="Of one backup.")
    newest_backup: timedelta = Field(default=timedelta(days=2), gt=timedelta(0), description="Older: a problem.")


class FailoverPolicy(ServicePolicy):
    """When a primary counts as failed, and what may take its place (runbook 7.1)."""

    probes: int = Field(default=5, ge=2, le=100, description="Looks in a row that a failed primary does not answer.")
    probe_every: timedelta = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="With `probes` half a minute or more: so long an idle primary may be silent to its replicas.",
    )
    probe_timeout: timedelta = Field(
        default=timedelta(seconds=3), gt=timedelta(0), description="Of one try to reach a server."
    )
    up: Words | None = Field(
        default=None, description="PromQL of one number, above 0 where monitoring sees the primary up, e.g. pg_up."
    )
    longest_lag: timedelta = Field(
        default=timedelta(minutes=5),
        gt=timedelta(0),
        description="From a replica's last commit to the primary's silence. Where it is longer, the primary was idle "
        "or the replica behind: promoting it takes a reason then.",
    )
    promote_within: timedelta = Field(
        default=timedelta(minutes=1), gt=timedelta(0), description="For the replica to take writes."
    )
    follow_within: timedelta = Field(
        default=timedelta(minutes=1), gt=timedelta(0), description="For the other replicas to follow the new primary."
    )
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=5),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
    return_timeout: timedelta = Field(
        default=timedelta(hours=12),
        gt=timedelta(0),
        description="Until people are reminded that the old primary is fenced, and then again until it stays so.",
    )


class SqlCheck(ServicePolicy):
    """A rule of the service's own that its data must keep."""

    name: Name = Field(min_length=1, max_length=100, description="As it is told.")
    sql: Words = Field(
        min_length=1,
        description="Passes where it gives no row, or one that is true. Runs read-only, as the administrator.",
    )


class RestorePolicy(ServicePolicy):
    """How a database is brought back to an earlier time (runbook 7.3)."""

    decision_timeout: timedelta = Field(
        default=timedelta(minutes=30),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
    replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Of the service afterwards; as many as before where not given."
    )
    longest_restore: timedelta = Field(
        default=timedelta(hours=6), gt=timedelta(0), description="Until a restore counts as stuck."
    )
    check_within: timedelta = Field(
        default=timedelta(minutes=30),
        gt=timedelta(0),
        description="For one integrity check, and for one count of all rows; what is left then is said.",
    )
    all_rows_indexed: bool = Field(default=True, description="Look every row up in every B-tree index as well.")
    checks: tuple[SqlCheck, ...] = Field(default=(), description="What must hold of the restored data.")
    roles: tuple[Key, ...] = Field(
        default=(),
        description="That may not connect while writers are stopped; all but superusers and replication where none is "
        "named.",
    )
    readers: tuple[Key, ...] = Field(
        default=(), description="Roles that only read, e.g. monitoring's: they may connect all the same."
    )
    leave_within: timedelta = Field(
        default=timedelta(seconds=30), gt=timedelta(0), description="Then sessions of these roles are ended."
    )
    forensics: timedelta = Field(
        default=timedelta(days=14), gt=timedelta(0), description="How long the damaged copy is kept for certain."
    )
    longest_forensics: timedelta = Field(
        default=timedelta(days=90), gt=timedelta(0), description="However often it is extended."
    )
    discard_timeout: timedelta = Field(
        default=timedelta(days=2), gt=timedelta(0), description="To decide on the damaged copy at the period's end."
    )
    notify_customers: bool = Field(default=True, description="Write to those who used the service since the target.")


class DatabasePolicy(ServicePolicy):
    """The database of a service."""

    name: Name = Field(description="Of the settings' [databases.NAME].")
    secret: Key = Field(description="The Kubernetes Secret that the service's DATABASE_URL comes from.")
    key: Key = Field(default="url", description="Key of the URL in all these Secrets.")
    servers: dict[Key, ServerPolicy] = Field(
        min_length=1,
        description="By their names in [databases.NAME]. The primary is the one the service is pointed at.",
    )
    poolers: tuple[Key, ...] = Field(
        default=(), description="Of [databases.NAME.poolers]: they go where the service goes (7.1, 7.3)."
    )
    maintenance: MaintenancePolicy = MaintenancePolicy()
    failover: FailoverPolicy = FailoverPolicy()
    restore: RestorePolicy = RestorePolicy()

    @model_validator(mode="after")
    def _own_secrets(self) -> "DatabasePolicy":
        secrets = [self.secret, *(server.secret for server in self.servers.values())]
        if len(set(secrets)) < len(secrets):
            raise ValueError("secret, servers.*.secret: each must name a Secret of its own")
        return self
