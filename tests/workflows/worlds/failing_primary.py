"""The world of a failover: a primary that is down, its replicas, their machines, and the Secret of the service."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.database import FailoverPolicy
from activities.common.effects import Change
from activities.database.backups.backups import FollowPrimary
from activities.database.replication.probe import Place
from activities.database.replication.replica_progress import ReplicaProgress
from activities.database.replication.replication import (
    AwaitStreaming,
    FollowServer,
    Promoted,
    PromoteReplica,
    Standing,
    StandingRequest,
    Streaming,
    Watched,
    WatchPrimary,
)
from activities.database.servers.hosts import FenceServer, RejoinServer
from activities.monitoring.prometheus import Metrics, MetricsRequest
from tests.workflows.worlds.pointed import Pointed, a_database
from tests.workflows.worlds.world import instead

SILENT = datetime(2026, 2, 4, 12, tzinfo=UTC)
SERVERS = ("primary", "replica-1", "replica-2")


def standby(received: str = "0/3000", **fields: Any) -> ReplicaProgress:
    """A replica of `primary` that was a second behind when that fell silent."""
    known = {
        "reachable": True,
        "system_identifier": "7",
        "timeline": 1,
        "received": received,
        "replayed": received,
        "last_commit_at": SILENT - timedelta(seconds=1),
        "upstream": "primary",
    }
    return ReplicaProgress.model_validate({**known, **fields})


class FailingPrimary(Pointed):
    """`primary` is silent, `replica-1` has most of its log, `replica-2` a little less."""

    def __init__(self, **policy: Any) -> None:
        super().__init__()
        database = a_database(*SERVERS, "spare-1", failover=FailoverPolicy(**policy))
        self.service = self.service.model_copy(update={"database": database})
        self.answering: list[bool] = []
        """What the next looks find; silence when there are none left."""
        self.up: list[float | None] = []
        self.standings = {"replica-1": standby(), "replica-2": standby("0/2000")}
        self.unfenced = self.unpromoted = self.unreturned = 0
        """How often each of these fails yet."""
        self.primary: str | None = None
        self.during: dict[str, Callable[[], object]] = {}
        """What happens while an activity of that name runs."""
        self.unblock = threading.Event()

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._facts(), *self._changes())

    def _done(self, name: str, request: Any) -> bool:
        if done := super()._done(name, request):
            self.during.get(name, lambda: None)()
        return done

    def _facts(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="replication.watch")
        def watch(request: WatchPrimary) -> Watched:
            world._up("replication.watch")
            answers = world.answering.pop(0) if world.answering else False
            place = Place(name="worker", answers=answers, detail="answers" if answers else "no answer")
            return Watched(
                primary=request.primary,
                answers=answers,
                places=[place],
                failed=0 if answers else request.probes,
                first_failed_at=None if answers else request.silent_since or SILENT,
            )

        @activity.defn(name="replication.standing")
        def standing(request: StandingRequest) -> Standing:
            unknown = ReplicaProgress(reachable=False, trouble="down")
            return Standing(servers={name: world.standings.get(name, unknown) for name in request.servers})

        @activity.defn(name="replication.await_streaming")
        def await_streaming(request: AwaitStreaming) -> Streaming:
            return Streaming(streams=True, standing=standby(upstream=request.source, streaming=True))

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            return Metrics(values={"up": world.up.pop(0) if world.up else None})

        return [watch, standing, await_streaming, snapshot]

    def _changes(self) -> list[Callable[..., Any]]:
        world = self

        def change(after: str, *, applied: bool) -> Change:
            return Change(target="server", after=after, applied=applied)

        @activity.defn(name="database_hosts.fence")
        def fence(request: FenceServer) -> Change:
            if world.unfenced:
                world.unfenced -= 1
                raise ApplicationError("no way there", type="Unavailable", non_retryable=True)
            return change("fenced", applied=world._done("database_hosts.fence", request))

        @activity.defn(name="replication.promote")
        def promote(request: PromoteReplica) -> Promoted:
            if world.unpromoted:
                world.unpromoted -= 1
                raise ApplicationError("not in time", type="Unavailable", non_retryable=True)
            if applied := world._done("replication.promote", request):
                world.primary = request.server
            return Promoted(
                target="server",
                after="primary",
                applied=applied,
                server=request.server,
                timeline=request.timeline + 1,
                at=SILENT + timedelta(minutes=1),
                replayed="0/3000",
                last_commit_at=SILENT - timedelta(seconds=1),
            )

        @activity.defn(name="replication.follow")
        def follow(request: FollowServer) -> Change:
            return change("follows", applied=world._done("replication.follow", request))

        @activity.defn(name="database_hosts.rejoin")
        def rejoin(request: RejoinServer) -> Change:
            if world.unreturned:
                world.unreturned -= 1
                raise ApplicationError("no room", type="Unavailable", non_retryable=True)
            return change("a replica", applied=world._done("database_hosts.rejoin", request))

        @activity.defn(name="backups.follow")
        def archive(request: FollowPrimary) -> Change:
            return change("archived", applied=world._done("backups.follow", request))

        return [fence, promote, follow, rejoin, archive]
