"""Makes a server a replica of another one: by pg_rewind where that can do it, else by a new copy."""

import contextlib
import os
import shutil
import subprocess
import time

import psycopg
from psycopg.conninfo import make_conninfo

from activities.common.children import tied
from sandbox.database_hosts.client import LOOPBACK
from sandbox.database_hosts.plan import REPLICATION_USER
from sandbox.database_hosts.server import STOP_REACHING, DatabaseServer, HostError

_STREAM_SECONDS = 20.0
_POLL_SECONDS = 0.02
_SAID_CHARACTERS = 300


def rejoin(server: DatabaseServer, source: DatabaseServer) -> str:
    """Make `server` follow `source`, and wait until it streams; says how it was done.

    Killed half way and asked again, it makes a new copy: what a killed pg_rewind leaves is of no use.

    Raises:
        HostError: the source is no primary, the server is one that takes writes, or it can't be done.

    """
    _insist_on_a_primary(source, but=server)
    if _streams(server, source) and not server.fenced.exists():
        return "follows it already"
    if server.running and not _in_recovery(server):
        raise HostError(f"{server.name} takes writes: fence it first")
    half_done = server.folder / "rejoining"
    usable = server.has_data and not half_done.exists()
    server.folder.mkdir(exist_ok=True)
    half_done.touch()
    server.enabled.unlink(missing_ok=True)
    server.kill()
    how = "rewound"
    if not (usable and _rewind(server, source) and _follow(server, source)):
        how = "copied anew"
        server.kill()
        _copy(server, source)
        if not _follow(server, source):
            raise HostError(f"{server.name} is a new copy of {source.name} but doesn't stream: its log says why")
    half_done.unlink()
    return how


def _insist_on_a_primary(source: DatabaseServer, but: DatabaseServer) -> None:
    if source is but:
        raise HostError(f"{source.name} can't follow itself")
    try:
        recovering = _in_recovery(source)
    except psycopg.Error as error:
        raise HostError(f"{source.name}, the server to follow, doesn't answer ({type(error).__name__})") from None
    if recovering:
        raise HostError(f"{source.name} is a replica itself: promote it, or name the primary")


def _in_recovery(server: DatabaseServer) -> bool:
    return bool(server.ask("SELECT pg_is_in_recovery()")[0][0])


def _streams(server: DatabaseServer, source: DatabaseServer) -> bool:
    try:
        found = server.ask("SELECT status, sender_port FROM pg_stat_wal_receiver")
    except psycopg.Error:
        return False
    return found == [("streaming", source.place.port)]


def _rewind(server: DatabaseServer, source: DatabaseServer) -> bool:
    """Take back what the server has and the source hasn't."""
    with psycopg.connect(source.conninfo(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")  # from here on the source's files say on which timeline it is
    standby = server.data / "standby.signal"
    standby.unlink(missing_ok=True)  # pg_rewind ends a crash's recovery first, in a mode that knows no standby
    try:
        server.put_in_order()
        done = _run(
            server, "pg_rewind", "--no-sync", f"--target-pgdata={server.data}", f"--source-server={source.conninfo()}"
        )
    finally:
        standby.touch()
    return done.returncode == 0


def _copy(server: DatabaseServer, source: DatabaseServer) -> None:
    new = server.folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    done = _run(
        server,
        "pg_basebackup",
        "--checkpoint=fast",
        "--no-sync",
        "--wal-method=stream",
        f"--pgdata={new}",
        f"--dbname={_replication(server, source)}",
    )
    if done.returncode != 0:
        raise HostError(f"{server.name} can't be copied from {source.name}: {done.stderr.strip()[-_SAID_CHARACTERS:]}")
    shutil.rmtree(server.data, ignore_errors=True)
    new.rename(server.data)


def _follow(server: DatabaseServer, source: DatabaseServer) -> bool:
    """Start it as a standby of the source; tells whether it streams."""
    slot = server.name.replace("-", "_")
    with psycopg.connect(source.conninfo(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_name = %s AND wal_status = 'lost'",
            (slot,),
        )
        connection.execute(
            "SELECT pg_create_physical_replication_slot(%s, true) "
            "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)",
            (slot, slot),
        )
    server.configure({**STOP_REACHING, "primary_conninfo": _replication(server, source), "primary_slot_name": slot})
    (server.data / "recovery.signal").unlink(missing_ok=True)
    (server.data / "standby.signal").touch()
    server.fenced.unlink(missing_ok=True)
    with contextlib.suppress(HostError):
        server.start()
        deadline = time.monotonic() + _STREAM_SECONDS
        while server.running and time.monotonic() < deadline:
            if _streams(server, source):
                return True
            time.sleep(_POLL_SECONDS)
    return False


def _replication(server: DatabaseServer, source: DatabaseServer) -> str:
    """Give how the server reaches its source, under its own name, as settings of synchronous replication know it."""
    return make_conninfo(
        host=LOOPBACK,
        port=source.place.port,
        user=REPLICATION_USER,
        passfile=server.plan.passwords,
        application_name=server.name,
        keepalives_idle=1,
        keepalives_interval=1,
        keepalives_count=2,
    )


def _run(server: DatabaseServer, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    bound = tied([f"{server.plan.programs}/{program}", *arguments], user=server.plan.uid, group=server.plan.gid)
    return subprocess.run(
        bound.argv,
        cwd=server.folder,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **bound.how,
    )
