"""What keeps vacuum from removing rows that died: who, and since when (runbook 6.2 step 1).

Sessions and prepared transactions of the database itself, replication slots, and what replicas ask for by
hot_standby_feedback. A primary knows of these no more than a transaction's number, so the replicas are asked who it is:
a session there, a server that follows it, or its own replay, which is kept behind, paused, or late.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import ActivityFailure
from activities.database.replication import replica_progress
from activities.database.replication.replica_progress import Address, ReplicaProgress
from activities.database.servers.servers import Connection, Databases, OnServer
from audit.text import counted, length
from libraries import psycopg
from records_schema.server import conninfo

_REPLICA = "replica"
_REPLAY = "replay"
_PAUSED, _LATE = "paused", "late"
_TEMPORARY_TABLE = "temporary table"
_MOST = 20
_OLD = "xact_start < clock_timestamp() - %(older)s"
# A parallel worker has its leader's snapshot, and ends with it; one of a vacuum is not waited for, as its leader isn't.
_SESSION = """
    SELECT CASE WHEN backend_type = 'client backend' THEN 'session' ELSE backend_type END AS kind, pid::text AS name,
           coalesce(usename, '') AS user, coalesce(state, '') AS state, xact_start AS since,
           greatest(age(backend_xmin), age(backend_xid)) AS transactions
    FROM pg_stat_activity a
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
      AND backend_type <> 'parallel worker'
"""
# Vacuum of one table doesn't wait for vacuum of another, nor for sessions of other databases.
_SESSIONS = f"""{_SESSION} AND {_OLD} AND (datname = current_database() OR datname IS NULL)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
    ORDER BY transactions DESC NULLS LAST LIMIT {_MOST}
"""
_OF_A_REPLICA = f"{_SESSION} AND {_OLD} ORDER BY transactions DESC NULLS LAST LIMIT {_MOST}"
_PREPARED = f"""
    SELECT 'prepared transaction' AS kind, gid AS name, owner AS user, prepared AS since,
           age(transaction) AS transactions
    FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - %(older)s
    ORDER BY prepared LIMIT {_MOST}
"""  # noqa: S608 - made of constants
# 17 has `inactive_since`. A logical slot keeps rows of the catalogue alone; one whose reader keeps up is no trouble.
# One that is lost keeps nothing any more, though it still says what it kept.
_SLOTS = f"""
    SELECT 'replication slot' AS kind, slot_name AS name, coalesce(database, '') AS of,
           CASE WHEN active THEN 'active' ELSE 'inactive' END AS state,
           (to_jsonb(s) ->> 'inactive_since')::timestamptz AS since,
           greatest(age(xmin), age(catalog_xmin)) AS transactions, xmin IS NULL AS catalogue
    FROM pg_replication_slots s
    WHERE (xmin IS NOT NULL OR catalog_xmin IS NOT NULL) AND wal_status IS DISTINCT FROM 'lost'
      AND (NOT active OR xmin IS NULL AND %(lag)s < pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
               confirmed_flush_lsn))
    ORDER BY transactions DESC NULLS LAST LIMIT {_MOST}
"""  # noqa: S608 - made of constants
_REPLICAS = f"""
    SELECT '{_REPLICA}' AS kind, r.application_name AS name, coalesce(host(r.client_addr), '') AS address,
           coalesce(s.slot_name, '') AS slot, age(coalesce(s.xmin, r.backend_xmin)) AS transactions,
           (SELECT count(*) FROM pg_stat_replication o
            WHERE s.slot_name IS NULL AND o.backend_xmin IS NOT NULL AND o.application_name = r.application_name
           ) AS alike
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
    WHERE coalesce(s.xmin, r.backend_xmin) IS NOT NULL AND age(coalesce(s.xmin, r.backend_xmin)) > 0
    ORDER BY transactions DESC NULLS LAST LIMIT {_MOST}
"""  # noqa: S608 - made of constants
# Autovacuum can't look into them; nobody but their session can, and one that crashed may have left them.
_TEMPORARY = f"""
    SELECT '{_TEMPORARY_TABLE}' AS kind, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
           pg_get_userbyid(c.relowner) AS user,
           greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS transactions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.relkind = 't'
    WHERE c.relkind = 'r' AND c.relpersistence = 't'
      AND greatest(age(c.relfrozenxid), age(t.relfrozenxid))
          >= %(freeze_share)s * current_setting('autovacuum_freeze_max_age')::int
    ORDER BY transactions DESC LIMIT {_MOST}
"""  # noqa: S608 - made of constants
_RECEIVES = """
    SELECT coalesce((SELECT slot_name FROM pg_stat_wal_receiver), '') AS slot,
           coalesce((SELECT conninfo FROM pg_stat_wal_receiver), '') AS conninfo
    WHERE pg_is_in_recovery() AND current_setting('hot_standby_feedback')::bool
"""


class Holder(BaseModel):
    """What keeps vacuum from removing rows that died since."""

    kind: str
    name: str
    user: str = ""
    state: str = ""
    since: datetime | None = None
    transactions: int | None = Field(default=None, description="Begun since.")
    of: str = Field(default="", description="The database of a logical slot.")
    catalogue: bool = Field(default=False, description="It keeps rows of the system catalogue alone.")
    address: str = Field(default="", description="Of a replica.")
    slot: str = Field(default="", description="That a replica reads.")
    alike: int = Field(default=0, description="Replicas of its name that read no slot: nothing tells them apart.")
    server: str = Field(default="", description="The replica that the session is on; empty: the server itself.")
    follows: str = Field(default="", description="The replica that a replica follows; empty: the server itself.")
    asked: str = Field(default="", description="What came of asking a replica for whom it is.")

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        of = f" of {self.user or self.of}" if self.user or self.of else ""
        on = f" on the replica {self.server} (hot_standby_feedback)" if self.server else ""
        if self.kind == _REPLICA:
            slot = f"slot {self.slot}" * bool(self.slot)
            follows = f"it follows {self.follows}" * bool(self.follows)
            via = ", ".join(filter(None, (self.address, slot, follows)))
            on = f"{f' ({via})' if via else ''} by its hot_standby_feedback, {self._old}, {self.asked}"
        what = f"{self.kind} {self.name}".rstrip()
        return f"{what}{of}{on}{f', {self.state},' if self.state else ''}{since}".rstrip(", ")

    @property
    def _old(self) -> str:
        return f"{counted(self.transactions or 0, 'transaction')} old"

    @property
    def problem(self) -> str:
        """Say what it does, and the way out where that isn't simply to end it."""
        if self.kind == _TEMPORARY_TABLE:
            return (
                f"{self} has rows that are {self._old}, which neither we nor autovacuum can freeze: it goes with its "
                f"session, or by DROP TABLE {self.name}"
            )
        rows = "rows of the system catalogue" if self.catalogue else "rows"
        out = {
            "prepared transaction": f": COMMIT PREPARED or ROLLBACK PREPARED {_quoted(self.name)} ends it",
            "replication slot": f": where nobody will read it again, pg_drop_replication_slot({_quoted(self.name)})",
            _REPLAY: {
                _PAUSED: ": SELECT pg_wal_replay_resume() there lets it go on",
                _LATE: "",
            }.get(self.state, ": hot_standby_feedback = off there ends it"),
        }
        return f"{self} keeps vacuum from removing {rows} that died since{out.get(self.kind, '')}"


def _quoted(name: str) -> str:
    """Write a name as SQL's text: that of a transaction of Java's XA has whatever its manager likes."""
    return "'" + name.replace("'", "''") + "'"


def holders(connection: Connection, policy: MaintenancePolicy) -> list[Holder]:
    """List what holds back longer than settings allow, and each replica that may: nobody knows yet since when."""
    which = {"older": policy.holds_back, "lag": policy.lag_bytes, "freeze_share": policy.freeze_share}
    queries = (_SESSIONS, _PREPARED, _SLOTS, _REPLICAS, _TEMPORARY)
    found = [Holder.model_validate(row) for query in queries for row in connection.execute(query.encode(), which)]
    for holder in found:
        if holder.kind == _REPLICA:
            holder.asked = "for whom is not known"
    return found


def known(
    found: Iterable[Holder], databases: Databases, at: OnServer, policy: MaintenancePolicy, *, matters: bool
) -> list[Holder]:
    """Put in each replica's place the sessions for which it asks, and leave out those that ask for nobody for long.

    Of a replica that can't be asked nobody knows whether it is long; it is told where it `matters`: rows are dead.
    """
    told = list(found)
    replicas = [holder for holder in told if holder.kind == _REPLICA]
    if not replicas:
        return told
    asked = list(_resolved(replicas, at.server, list(_ask(databases, at, policy))))
    for holder in asked:
        if holder.follows == at.server:
            holder.follows = ""
    # Whom two replicas that can't be told apart may both ask for is told once.
    named = {(one.server, one.kind, one.name, one.address, one.slot): one for one in asked}
    return [
        *(holder for holder in told if holder.kind != _REPLICA),
        *(holder for holder in named.values() if matters or holder.kind != _REPLICA),
    ]


@dataclass
class _Answer:
    """What one replica says."""

    server: str
    slot: str = ""
    application: str = ""
    upstream: str = ""
    sessions: list[Holder] = field(default_factory=list)
    replicas: list[Holder] = field(default_factory=list)
    trouble: str = ""


def _ask(databases: Databases, at: OnServer, policy: MaintenancePolicy) -> Iterator[_Answer]:
    servers = databases[at.database].servers
    names = {replica_progress.address(conninfo(server.url)): name for name, server in servers.items()}
    for name in servers:
        if name == at.server:
            continue
        try:
            with databases.connect(OnServer(database=at.database, server=name)) as connection:
                if (row := connection.execute(_RECEIVES).fetchone()) is not None:
                    yield _answer(name, row, connection, policy, names)
        except ActivityFailure as error:
            yield _Answer(server=name, trouble=error.message)


def _answer(
    server: str, row: dict[str, Any], connection: Connection, policy: MaintenancePolicy, names: dict[Address, str]
) -> _Answer:
    parts = psycopg.conninfo.conninfo_to_dict(row["conninfo"])
    sessions = connection.execute(_OF_A_REPLICA.encode(), {"older": policy.holds_back})
    holders = [Holder.model_validate(session | {"server": server}) for session in sessions]
    progress = replica_progress.read(connection, names)
    return _Answer(
        server=server,
        slot=row["slot"],
        # Whoever sets none goes by its cluster_name, or by `walreceiver`.
        application=str(parts.get("application_name") or parts.get("fallback_application_name") or ""),
        upstream=progress.upstream or "",
        sessions=[*holders, *_replay(server, progress, connection, policy)],
        replicas=[Holder.model_validate(each) for each in connection.execute(_REPLICAS.encode())],
    )


def _replay(
    server: str, progress: ReplicaProgress, connection: Connection, policy: MaintenancePolicy
) -> Iterator[Holder]:
    """Give a replica's replay where it is older than settings allow: the replica asks for all that it will still see.

    Of a primary that has long been idle the last commit is old, and says nothing of how late a replica is.
    """
    if not progress.unreplayed:
        return
    now = (connection.execute("SELECT clock_timestamp() AS now").fetchone() or {})["now"]
    old = progress.last_commit_at is None or now - progress.last_commit_at > policy.holds_back
    state = ""
    if progress.paused and old:
        state = _PAUSED
    elif progress.delay > policy.holds_back:
        state = f"kept {length(progress.delay)} behind"
    elif progress.unreplayed > policy.lag_bytes and old:
        state = _LATE
    if state:
        yield Holder(kind=_REPLAY, name="", server=server, state=state, since=progress.last_commit_at)


def _whose(replica: Holder, upstream: str, answers: list[_Answer]) -> list[Holder]:
    """Give who asks through a replica of a server: through any of those that can't be told from it."""
    mine = [one for one in answers if _is(replica, upstream, one)]
    others = [one for one in answers if one not in mine]
    below = [holder for one in mine for holder in _resolved(one.replicas, one.server, others)]
    found = [*(holder for one in mine for holder in one.sessions), *below]
    if found or len(mine) >= max(replica.alike, 1):
        return found
    silent = [f"{one.server} can't be asked" for one in answers if one.trouble]
    why = "; ".join(silent) or "no server of the settings is it"
    return [replica.model_copy(update={"follows": upstream, "asked": f"for whom is not known ({why})"})]


def _resolved(replicas: list[Holder], server: str, answers: list[_Answer]) -> Iterator[Holder]:
    for replica in replicas:
        yield from _whose(replica, server, answers)


def _is(replica: Holder, upstream: str, answer: _Answer) -> bool:
    if answer.trouble or answer.upstream not in {"", upstream}:
        return False
    return answer.slot == replica.slot if replica.slot else answer.application == replica.name
