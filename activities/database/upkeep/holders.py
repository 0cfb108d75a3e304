"""What keeps vacuum from removing rows that died: who, and since when (runbook 6.2 step 1).

Sessions and prepared transactions of the database itself, replication slots, and what replicas ask for by
hot_standby_feedback. A primary knows of these no more than a transaction's number, so the replicas are asked who it is.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import ActivityFailure
from activities.database.servers.servers import Connection, Databases, OnServer
from audit.text import counted
from libraries import psycopg

_REPLICA = "replica"
_TEMPORARY_TABLE = "temporary table"
_MOST = 20
_OLD = "xact_start < clock_timestamp() - %(older)s"
_SESSION = """
    SELECT CASE WHEN backend_type = 'client backend' THEN 'session' ELSE backend_type END AS kind, pid::text AS name,
           coalesce(usename, '') AS user, coalesce(state, '') AS state, xact_start AS since,
           greatest(age(backend_xmin), age(backend_xid)) AS transactions
    FROM pg_stat_activity a
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
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
_SLOTS = f"""
    SELECT 'replication slot' AS kind, slot_name AS name, coalesce(database, '') AS of,
           CASE WHEN active THEN 'active' ELSE 'inactive' END AS state,
           (to_jsonb(s) ->> 'inactive_since')::timestamptz AS since,
           greatest(age(xmin), age(catalog_xmin)) AS transactions, xmin IS NULL AS catalogue
    FROM pg_replication_slots s
    WHERE (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
      AND (NOT active OR xmin IS NULL AND %(lag)s < pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
               confirmed_flush_lsn))
    ORDER BY transactions DESC NULLS LAST LIMIT {_MOST}
"""  # noqa: S608 - made of constants
_REPLICAS = f"""
    SELECT '{_REPLICA}' AS kind, r.application_name AS name, coalesce(host(r.client_addr), '') AS address,
           coalesce(s.slot_name, '') AS slot, age(coalesce(s.xmin, r.backend_xmin)) AS transactions
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
           coalesce((SELECT conninfo FROM pg_stat_wal_receiver), '') AS conninfo,
           EXISTS (SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)
             OR EXISTS (SELECT FROM pg_replication_slots WHERE xmin IS NOT NULL) AS below
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
    server: str = Field(default="", description="The replica that the session is on; empty: the server itself.")
    asked: str = Field(default="", description="What came of asking a replica for whom it is.")

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        of = f" of {self.user or self.of}" if self.user or self.of else ""
        on = f" on the replica {self.server} (hot_standby_feedback)" if self.server else ""
        if self.kind == _REPLICA:
            via = ", ".join(filter(None, (self.address, f"slot {self.slot}" * bool(self.slot))))
            on = f"{f' ({via})' if via else ''} by its hot_standby_feedback, {self._old}, {self.asked}"
        return f"{self.kind} {self.name}{of}{on}{f', {self.state},' if self.state else ''}{since}".rstrip(", ")

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
    if not any(holder.kind == _REPLICA for holder in told):
        return told
    answers = list(_ask(databases, at, policy))
    named = [one for holder in told for one in (_whose(holder, answers) if holder.kind == _REPLICA else [holder])]
    return [holder for holder in named if matters or holder.kind != _REPLICA]


class _Answer(BaseModel):
    """What one replica says."""

    server: str
    slot: str = ""
    application: str = ""
    sessions: list[Holder] = Field(default_factory=list)
    below: bool = False
    trouble: str = ""


def _ask(databases: Databases, at: OnServer, policy: MaintenancePolicy) -> Iterator[_Answer]:
    for name in databases[at.database].servers:
        if name == at.server:
            continue
        try:
            with databases.connect(OnServer(database=at.database, server=name)) as connection:
                if (row := connection.execute(_RECEIVES).fetchone()) is not None:
                    yield _answer(name, row, connection, policy)
        except ActivityFailure as error:
            yield _Answer(server=name, trouble=error.message)


def _answer(server: str, row: dict[str, Any], connection: Connection, policy: MaintenancePolicy) -> _Answer:
    parts = psycopg.conninfo.conninfo_to_dict(row["conninfo"])
    sessions = connection.execute(_OF_A_REPLICA.encode(), {"older": policy.holds_back})
    return _Answer(
        server=server,
        slot=row["slot"],
        application=str(parts.get("application_name") or ""),
        below=row["below"],
        sessions=[Holder.model_validate(session | {"server": server}) for session in sessions],
    )


def _whose(replica: Holder, answers: list[_Answer]) -> list[Holder]:
    mine = next((one for one in answers if _is(replica, one)), None)
    if mine is None:
        silent = [f"{one.server} can't be asked" for one in answers if one.trouble]
        why = "; ".join(silent) or "no server of the settings is it"
        return [replica.model_copy(update={"asked": f"for whom is not known ({why})"})]
    if mine.sessions or not mine.below:
        return mine.sessions
    below = f"for a server that follows {mine.server}"
    return [replica.model_copy(update={"asked": below})]


def _is(replica: Holder, answer: _Answer) -> bool:
    if answer.trouble:
        return False
    return answer.slot == replica.slot if replica.slot else answer.application == replica.name
