"""Streaming replication of a service's database: does the primary live, who is how far, promote, follow (runbook 7.1).

`tensafe-admin db status|failover`. Everything is asked of the servers themselves, as their administrator.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.database.replication import changes, replica_progress
from activities.database.replication.probe import Parameters, Place, ask_primary, ask_replica
from activities.database.replication.replica_progress import ReplicaProgress
from activities.database.servers.hosts import HostControl
from activities.database.servers.servers import Databases, OnServer
from audit.text import counted, length
from libraries import logger
from records_schema.server import conninfo

if TYPE_CHECKING:
    from activities.database.replication.replica_progress import Address

_log = logger(__name__)
_EARLIER = "done by an earlier attempt"
_POLL = timedelta(milliseconds=200)
_T = TypeVar("_T")


class WatchPrimary(BaseModel):
    """Look at a primary several times, from here and through its replicas."""

    database: str
    primary: str
    replicas: tuple[str, ...] = ()
    probes: int = Field(ge=1)
    every: timedelta
    timeout: timedelta = Field(description="Of one look.")
    silent_since: datetime | None = Field(
        default=None, description="When it first did not answer, where that is known from an earlier watch."
    )


class Watched(BaseModel):
    """What came of it."""

    primary: str
    answers: bool = Field(description="One place at least knows that it lives; the watch ended there.")
    places: list[Place] = Field(description="What each said at the last look.")
    failed: int = Field(description="Looks in a row without any answer.")
    first_failed_at: datetime | None = None

    def __str__(self) -> str:
        said = "; ".join(str(place) for place in self.places)
        verdict = "answers" if self.answers else f"does NOT answer, {counted(self.failed, 'look')} in a row"
        return f"{self.primary} {verdict} ({said})"


class StandingRequest(BaseModel):
    """Which servers to compare."""

    database: str
    servers: tuple[str, ...]


class Standing(BaseModel):
    """How far each of them is."""

    servers: dict[str, ReplicaProgress]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {standing}" for name, standing in self.servers.items())


class PromoteReplica(BaseModel):
    """Make a pinned replica the primary."""

    database: str
    server: str
    others: tuple[str, ...] = Field(description="Servers of which none may take writes.")
    timeline: int = Field(description="The one that it was seen on; the new one is higher.")
    within: timedelta
    effect: Effect


class Promoted(Change):
    """The new primary; a transaction has been committed on it."""

    server: str
    timeline: int
    at: datetime | None = Field(default=None, description="When it was seen to take writes.")
    replayed: str | None = Field(default=None, description="End of the old primary's log as far as it got here (LSN).")
    last_commit_at: datetime | None = Field(default=None, description="Of the last transaction that it has got.")


class FollowServer(BaseModel):
    """Have a standby follow another server, and wait until it streams."""

    database: str
    server: str
    source: str
    timeline: int = Field(description="The source's.")
    within: timedelta
    effect: Effect


class AwaitStreaming(BaseModel):
    """Wait until a standby streams from a server."""

    database: str
    server: str
    source: str
    timeline: int = Field(description="At least.")
    within: timedelta


class Streaming(BaseModel):
    """Whether it does."""

    streams: bool
    standing: ReplicaProgress

    def __str__(self) -> str:
        return str(self.standing)


class Replication:
    """Asks and changes the servers of the settings' databases.

    Raises from every method what `Databases.connect` raises.
    """

    def __init__(self, databases: Databases, hosts: Mapping[str, HostControl]) -> None:
        """Take what acts on each database's machines, by its name."""
        self._databases = databases
        self._hosts = hosts

    @activity.defn(name="replication.watch")
    def watch(self, request: WatchPrimary) -> Watched:
        """Watch a primary for long enough to tell a failure from a hiccup (7.1 step 1, `tensafe-admin db status`).

        Ends at once where any place knows that it lives. Heartbeats; a second attempt goes on counting.
        """
        progress = resume(_Watching)
        progress.first_failed_at = progress.first_failed_at or request.silent_since
        places: list[Place] = []
        lasting = request.every * (request.probes - 1)
        for _ in turns(progress, within=lasting, every=request.every):
            now = datetime.now(UTC)
            places = self._look(request, progress.first_failed_at or now)
            if any(place.answers for place in places):
                return Watched(primary=request.primary, answers=True, places=places, failed=0)
            progress.first_failed_at = progress.first_failed_at or now
            progress.failed += 1
        return Watched(
            primary=request.primary,
            answers=False,
            places=places,
            failed=progress.failed,
            first_failed_at=progress.first_failed_at,
        )

    @activity.defn(name="replication.standing")
    def standing(self, request: StandingRequest) -> Standing:
        """Read how far each server is (7.1 steps 1 and 4, `tensafe-admin db health`), or why it can't be asked."""
        found = _each(request.servers, lambda name: self._standing(OnServer(database=request.database, server=name)))
        return Standing(servers=dict(zip(request.servers, found, strict=True)))

    @activity.defn(name="replication.promote")
    @effect
    def promote(self, request: PromoteReplica) -> Promoted:
        """Promote a replica, and commit a transaction on it (7.1 step 2, `tensafe-admin db failover --promote`).

        A second attempt finds the primary that the first one made, by its timeline. All log that the replica has is
        replayed before it takes writes. Its synchronous_standby_names are set aside: nobody could fulfil them now.

        Raises:
            Refused: another server takes writes, or this one is no replica but a primary of its own.
            Unavailable: it was not promoted in time; another attempt goes on.

        """
        at = OnServer(database=request.database, server=request.server)
        if (two := self._writable(at, request.others)) and not request.effect.dry_run:
            raise Refused(f"{two} takes writes: with {request.server} there would be two primaries. Fence it first")
        target = f"server/{request.server}"
        before = self._standing(at, must=True)
        if not before.in_recovery and before.timeline <= request.timeline:
            raise Refused(f"{request.server} is a primary of its own on timeline {before.timeline}, not a replica")
        if request.effect.dry_run:
            note = f"refused as long as {two} takes writes" if two else ""
            return Promoted(
                target=target,
                before=str(before),
                after="a primary",
                applied=False,
                note=note,
                server=request.server,
                timeline=before.timeline,
            )
        applied = before.in_recovery
        if applied:
            self._promote(at, request.within)
        with self._databases.connect(at) as connection:
            if not applied:  # killed between promotion and this, an earlier attempt may have left them set
                changes.suspend_synchronous(connection)
            made = changes.written(connection, request.effect.key)
        notes = ["" if applied else _EARLIER]
        if applied and before.synchronous:
            notes.append(f"synchronous_standby_names = {before.synchronous!r} set aside: nobody could fulfil it")
        _log.info("replica promoted", server=request.server, timeline=made.timeline, effect=request.effect.key)
        return Promoted(
            target=target,
            before=f"standby on timeline {request.timeline}",
            after=f"primary on timeline {made.timeline}, takes writes",
            applied=applied,
            note="; ".join(filter(None, notes)),
            server=request.server,
            timeline=made.timeline,
            at=made.now,
            replayed=made.replayed,
            last_commit_at=made.last_commit_at,
        )

    @activity.defn(name="replication.follow")
    @effect
    def follow(self, request: FollowServer) -> Change:
        """Have a replica follow the new primary (7.1 step 2).

        Host and port are the settings'; user and password stay as they are, on the replica.

        Raises:
            Refused: it does not stream in time, e.g. because it has log that the new primary never had.

        """
        at = OnServer(database=request.database, server=request.server)
        source = OnServer(database=request.database, server=request.source)
        target, after = f"server/{request.server}", f"a standby of {request.source}"
        before = self._standing(at, must=True)
        if not before.in_recovery:
            raise Refused(f"{request.server} is no standby but {before}")
        follows = before.upstream == request.source
        if request.effect.dry_run or (follows and before.streaming):
            return Change(target=target, before=str(before), after=after, applied=False)
        database = self._databases[request.database]
        by_host = self._hosts[database.name].follow(database.server(request.server), database.server(request.source))
        changed = by_host or self._follow(at, source)
        wait = AwaitStreaming(**request.model_dump(exclude={"effect"}))
        found = self.await_streaming(wait)
        if not found.streams:
            raise Refused(
                f"{request.server} does not stream from {request.source} after {length(request.within)}: {found}. It "
                "may have log that the new primary never had: make it anew"
            )
        note = "" if changed else _EARLIER
        return Change(target=target, before=str(before), after=f"{after}, streaming", applied=changed, note=note)

    @activity.defn(name="replication.await_streaming")
    def await_streaming(self, request: AwaitStreaming) -> Streaming:
        """Wait until a standby streams, heartbeating; running out of time is a result."""
        at = OnServer(database=request.database, server=request.server)
        found, streams = ReplicaProgress(reachable=False), False
        for _ in turns(resume(Progress), within=request.within, every=_POLL):
            found = self._standing(at)
            streams = (
                found.streaming and found.upstream in {request.source, None} and found.timeline >= request.timeline
            )
            if streams:
                break
        return Streaming(streams=streams, standing=found)

    # -- how ---------------------------------------------------------------------------------------------

    def _look(self, request: WatchPrimary, since: datetime) -> list[Place]:
        database = self._databases[request.database]
        others = {a for a, name in self._addresses(request.database).items() if name != request.primary}
        silent_for = (datetime.now(UTC) - since).total_seconds()

        def parameters(server: str) -> Parameters:
            at = OnServer(database=database.name, server=server)
            limits = {"connect_timeout": max(round(request.timeout.total_seconds()), 2)}
            return {**self._databases.parameters(at, statement_timeout=request.timeout), **limits}

        def ask(server: str) -> Place:
            if server == request.primary:
                return ask_primary(parameters(server))
            return ask_replica(server, parameters(server), silent_for=silent_for, others=others)

        return _each((request.primary, *request.replicas), ask)

    def _standing(self, at: OnServer, *, must: bool = False) -> ReplicaProgress:
        """Read one server's; with `must` a server that can't be asked is an error."""
        try:
            with self._databases.connect(at) as connection:
                return replica_progress.read(connection, self._addresses(at.database))
        except (Unavailable, Misconfigured) as error:
            if must:
                raise
            return ReplicaProgress(reachable=False, trouble=error.message)

    def _writable(self, at: OnServer, others: Sequence[str]) -> str:
        """Name the others that take writes."""
        asked = [other for other in others if other != at.server]
        limit = timedelta(seconds=5)

        def ask(other: str) -> Place:
            where = OnServer(database=at.database, server=other)
            return ask_primary(self._databases.parameters(where, statement_timeout=limit))

        # One that answers but lets us not in counts as well: what can't be told apart must not be.
        return ", ".join(name for name, place in zip(asked, _each(asked, ask), strict=True) if place.answers)

    def _promote(self, at: OnServer, within: timedelta) -> None:
        database = self._databases[at.database]
        if self._hosts[database.name].promote(database.server(at.server)):
            for _ in turns(resume(Progress), within=within, every=_POLL):
                if not self._standing(at).in_recovery:
                    return
            raise Unavailable(f"{at.server} was told to become the primary, and was not after {length(within)}")
        with self._databases.connect(at, statement_timeout=None) as connection:
            changes.promote(connection, within)

    def _follow(self, at: OnServer, source: OnServer) -> bool:
        where = replica_progress.address(conninfo(self._databases[source.database].server(source.server).url))
        with self._databases.connect(source) as primary, self._databases.connect(at) as replica:
            changes.make_slot(primary, replica)
            return changes.follow(replica, where)

    def _addresses(self, database: str) -> "dict[Address, str]":
        servers = self._databases[database].servers
        found = {replica_progress.address(conninfo(server.url)): name for name, server in servers.items()}
        if len(found) < len(servers):
            raise Misconfigured(f"[databases.{database}]: two servers have the same host and port")
        return found


class _Watching(Progress):
    """What a watch remembers."""

    first_failed_at: datetime | None = None
    failed: int = 0


def _each(servers: Sequence[str], ask: Callable[[str], _T]) -> list[_T]:
    """Ask all at once: each that is down takes its whole timeout."""
    if not servers:
        return []
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        return list(pool.map(ask, servers))
