"""How far a PostgreSQL server is: its timeline, its log, whom it follows (runbook 7.1 step 1)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from activities.database.servers.versions import PAUSE_STATE
from audit.text import length
from libraries import psycopg

if TYPE_CHECKING:
    from psycopg.rows import DictRow

Address = tuple[str, int]
"""Host and port."""

_FACTS = """
SELECT recovery.on AS in_recovery,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       CASE WHEN recovery.on THEN greatest(
                (SELECT timeline_id FROM pg_control_checkpoint()),
                (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                (SELECT received_tli FROM pg_stat_wal_receiver))
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END AS timeline,
       CASE WHEN recovery.on THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
            ELSE pg_current_wal_flush_lsn() END::text AS received,
       CASE WHEN recovery.on THEN pg_last_wal_replay_lsn() END::text AS replayed,
       pg_last_xact_replay_timestamp() AS last_commit_at,
       CASE WHEN recovery.on THEN {paused} ELSE false END AS paused,
       CASE WHEN recovery.on THEN (
           SELECT make_interval(secs => setting::float / 1000) FROM pg_settings WHERE name = 'recovery_min_apply_delay')
            ELSE interval '0' END AS delay,
       coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false) AS streaming,
       (SELECT sender_host FROM pg_stat_wal_receiver) AS sender_host,
       (SELECT sender_port FROM pg_stat_wal_receiver) AS sender_port,
       (SELECT setting FROM pg_settings WHERE name = 'primary_conninfo') AS conninfo,
       current_setting('synchronous_standby_names') AS synchronous,
       (SELECT source = 'command line' FROM pg_settings WHERE name = 'synchronous_standby_names') AS synchronous_fixed
  FROM (SELECT pg_is_in_recovery() AS on) AS recovery
"""
_PAUSED = "pg_get_wal_replay_pause_state() <> 'not paused'"
_PAUSED_BEFORE_14 = "pg_is_wal_replay_paused()"
"""Says so as soon as a pause is asked for, as the state does."""


class ReplicaProgress(BaseModel):
    """One server."""

    reachable: bool
    trouble: str = Field(default="", description="Why it could not be asked.")
    in_recovery: bool = Field(default=True, description="A standby; a primary takes writes.")
    system_identifier: str = Field(default="", description="The same for all servers made from the same one.")
    timeline: int = 0
    received: str = Field(default="0/0", description="End of the log that it has (LSN); a primary: has flushed.")
    replayed: str | None = Field(default=None, description="LSN; None for a primary.")
    last_commit_at: datetime | None = Field(
        default=None,
        description="By the primary's clock: of the last transaction that it has replayed.",
    )
    paused: bool = Field(default=False, description="Somebody has paused its replay.")
    delay: timedelta = Field(
        default=timedelta(0), description="That it is kept behind on purpose: its recovery_min_apply_delay."
    )
    streaming: bool = Field(default=False, description="It receives log now.")
    upstream: str | None = Field(
        default=None, description="Name of the server it follows; empty: none that we know; None: we may not read it."
    )
    synchronous: str = Field(default="", description="Its synchronous_standby_names.")
    synchronous_fixed: bool = Field(
        default=False, description="They are of its command line: only a restart ends them."
    )

    @property
    def position(self) -> tuple[int, int]:
        """How far it is, to compare by."""
        return self.timeline, number(self.received)

    @property
    def unreplayed(self) -> int:
        """Bytes of the log that it has, and has not replayed."""
        return max(number(self.received) - number(self.replayed), 0) if self.replayed is not None else 0

    def __str__(self) -> str:
        if not self.reachable:
            return f"unreachable ({self.trouble})"
        if not self.in_recovery:
            return f"a primary on timeline {self.timeline} at {self.received}"
        follows = f"standby of {self.upstream or 'a server that settings do not know'}"
        last = f", last commit {self.last_commit_at:%F %T %Z}" if self.last_commit_at else ""
        state = "streaming" if self.streaming else "not streaming"
        paused = ", replay PAUSED" if self.paused else ""
        delayed = f", KEPT {length(self.delay)} BEHIND" if self.delay else ""
        return f"{follows}, {state}, timeline {self.timeline}, received {self.received}{last}{paused}{delayed}"


def number(lsn: str) -> int:
    """Give a position in the log (`0/3000180`) as a number of bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def read(connection: "psycopg.Connection[DictRow]", names: Mapping[Address, str]) -> ReplicaProgress:
    """Read a server's standing; `names` are the servers by their addresses."""
    paused = _PAUSED if connection.info.server_version >= PAUSE_STATE else _PAUSED_BEFORE_14
    found: dict[str, Any] | None = connection.execute(_FACTS.format(paused=paused).encode()).fetchone()
    assert found is not None
    conninfo = found.pop("conninfo")
    sender = (str(found.pop("sender_host")), int(found.pop("sender_port") or 0))
    upstream = None
    if found["in_recovery"] and conninfo is not None:
        upstream = followed(conninfo, sender, names)
    return ReplicaProgress(reachable=True, upstream=upstream, **found)


def followed(conninfo: str, sender: Address, names: Mapping[Address, str]) -> str | None:
    """Give whom a standby follows: of several hosts the one that sends to it now, else the first that we know.

    Empty: none that we know; None: its primary_conninfo can't be read.
    """
    try:
        listed = addresses(psycopg.conninfo.conninfo_to_dict(conninfo)) if conninfo else []
    except ValueError:
        return None
    return names[sender] if sender in names else next((names[one] for one in listed if one in names), "")


def address(parts: Mapping[str, Any]) -> Address:
    """Give host and port of libpq's parameters; of several the first.

    Raises:
        ValueError: the port is no number, or there are not as many ports as hosts.

    """
    return addresses(parts)[0]


def addresses(parts: Mapping[str, Any]) -> list[Address]:
    """Give hosts and ports of libpq's parameters, which may be lists (PostgreSQL, "Specifying Multiple Hosts").

    Raises:
        ValueError: a port is no number, or there are not as many ports as hosts.

    """
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = str(parts.get("port") or "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    return [(host or "localhost", int(port or 5432)) for host, port in zip(hosts, ports, strict=True)]
