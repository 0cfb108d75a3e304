"""The world of a restore: a damaged database, its backups, spare servers, and the customers who have used it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.database import RestorePolicy
from activities.common.effects import Change
from activities.customers.tenants import AffectedTenant, AffectedTenants, UsedSinceRequest
from activities.database.backups.backups import (
    BackupCatalogue,
    BackupCreated,
    BackupsRequest,
    BackupVerdict,
    CreateBackup,
    FollowPrimary,
    ReachRequest,
    Restored,
    Sealed,
    SealLog,
    VerifyBackup,
)
from activities.database.backups.restoring import RestoreBackup
from activities.database.backups.system import Backup, Reach
from activities.database.integrity.checks import Damage
from activities.database.integrity.contents import CheckResult, Contents, ContentsRequest
from activities.database.integrity.integrity import IntegrityReport, IntegrityRequest
from activities.database.replication.replica_progress import ReplicaProgress
from activities.database.replication.replication import Standing, StandingRequest
from activities.database.servers.hosts import DiscardServer, FenceServer
from activities.database.upkeep.ending import EndSessions, SessionsEnded
from activities.database.upkeep.writers import (
    AreWritersStopped,
    LetWritersIn,
    StillStopped,
    StopWriters,
    WritersStopped,
)
from activities.kubernetes.cluster import ScaleDeployment
from activities.messages.mail.mail import SendMail
from activities.monitoring.health import Health, Steadiness, SteadyRequest
from tests.workflows.worlds.platform import Platform
from tests.workflows.worlds.pointed import Pointed, a_database
from tests.workflows.worlds.world import instead

LONG_AGO = datetime.now(UTC) - timedelta(days=2)
BETWEEN = LONG_AGO + timedelta(hours=36)


class DamagedWorld(Pointed, Platform):
    """Two good backups, one that is not checked; `primary` is damaged, `spare-1` and `spare-2` are free."""

    def __init__(self, policies: Mapping[str, Any] | None = None, **restore: Any) -> None:
        servers = ("primary", "replica-1", "spare-1", "spare-2")
        super().__init__(database=a_database(*servers, restore=RestorePolicy(**restore)), **(policies or {}))
        self.backups = [
            Backup(backup_id="b2", status="done", ended_at=LONG_AGO + timedelta(days=1), verified=None),
            Backup(backup_id="b1", status="done", ended_at=LONG_AGO, verified=True),
        ]
        self.good = {"b2": True}
        self.latest: datetime | None = datetime.now(UTC) - timedelta(minutes=1)
        self.gap = ""
        self.gap_behind_the_seal = ""
        self.answers = True
        self.restored_damage: list[Damage] = []
        self.broken_rules: list[CheckResult] = []
        self.rows: dict[str, dict[str, int | None]] = {
            "primary": {"public.events": None, "public.jobs": 3},
            "spare-1": {"public.events": 90, "public.jobs": 2},
        }
        self.fenced: list[str] = []
        self.on_spares: set[str] = set()
        self.damaged_there = True
        self.customers = ["acme", "initech"]
        self.sealed_at = datetime.now(UTC)
        self.closed: set[str] = set()
        self.may_write: list[str] = []
        self.closed_by = ""
        self.let_in_by_hand: list[str] = []
        self.refuse_scaling_to_zero = False
        self.watched_from: int | None = None
        """From this look at health on, one lasts until the run calls it off."""
        self.refusing: set[str] = set()
        """Like `down`, for good: the clock doesn't skip retries while a test waits for a question."""

    def activities(self) -> list[Callable[..., Any]]:
        mine = (*self._backups(), *self._servers(), *self._looks(), *self._people())
        return instead(super().activities(), *mine)

    def _up(self, name: str) -> None:
        super()._up(name)
        if name in self.refusing:
            raise ApplicationError(f"{name} is gone", type="Refused", non_retryable=True)

    def as_before(self) -> bool:
        """Whether the service has what it had: replicas, autoscaler, data, and nothing left on a spare."""
        return (self.replicas, self.paused, self.pointed, self.fenced, self.on_spares, self.held, self.closed) == (
            3,
            False,
            "primary",
            [],
            set(),
            {},
            set(),
        )

    def names(self) -> list[str]:
        """Give the effects on the service and its data in order."""
        about = (
            "autoscalers",
            "kubernetes",
            "backups",
            "database_hosts",
            "database_secrets.point",
            "sessions",
            "writers",
        )
        return [name for name, _ in self.effects if name.startswith(about)]

    def _backups(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="backups.list")
        def listed(request: BackupsRequest) -> BackupCatalogue:
            world._up("backups.list")
            ends = [backup.ended_at for backup in world.backups if backup.ended_at and backup.status == "done"]
            return BackupCatalogue(items=world.backups, earliest=min(ends, default=None), latest=world.latest)

        @activity.defn(name="backups.verify")
        def verify(request: VerifyBackup) -> BackupVerdict:
            world._done("backups.verify", request)
            good = world.good[request.backup_id]
            return BackupVerdict(target=request.backup_id, after="verified", applied=True, good=good)

        @activity.defn(name="backups.seal")
        def seal(request: SealLog) -> Sealed:
            if world._done("backups.seal", request):
                world.latest = world.sealed_at
                world.gap = world.gap or world.gap_behind_the_seal
            return Sealed(target="log", after="archived", applied=True, at=world.sealed_at)

        @activity.defn(name="backups.reach")
        def reach(request: ReachRequest) -> Reach:
            world._up("backups.reach")
            detail = world.gap or "the log leads to it"
            return Reach(reaches=not world.gap, latest=world.latest, detail=detail)

        @activity.defn(name="backups.restore")
        def restore(request: RestoreBackup) -> Restored:
            world.on_spares.add(request.into)
            world._done("backups.restore", request)
            return Restored(
                target=request.into,
                after="restored",
                applied=True,
                server=request.into,
                recovered_to=request.target - timedelta(seconds=1),
                timeline=2,
                seconds=1,
            )

        @activity.defn(name="backups.follow")
        def follow(request: FollowPrimary) -> Change:
            world._done("backups.follow", request)
            return Change(target="log", after=request.server, applied=True)

        @activity.defn(name="backups.create")
        def create(request: CreateBackup) -> BackupCreated:
            world._done("backups.create", request)
            return BackupCreated(target="database", after="backed up", applied=True, backup_id="b3")

        return [listed, verify, seal, reach, restore, follow, create]

    def _servers(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="database_hosts.fence")
        def fence(request: FenceServer) -> Change:
            world._done("database_hosts.fence", request)
            world.fenced.append(request.server)
            return Change(target=request.server, after="fenced", applied=True)

        @activity.defn(name="database_hosts.discard")
        def discard(request: DiscardServer) -> Change:
            world._done("database_hosts.discard", request)
            world.on_spares.discard(request.server)
            world.damaged_there = world.damaged_there and request.server != "primary"
            return Change(target=request.server, after="discarded", applied=True)

        @activity.defn(name="kubernetes.scale")
        def scale(request: ScaleDeployment) -> Change:
            if world._done("kubernetes.scale", request):
                world.replicas = request.replicas
            if world.refuse_scaling_to_zero and not request.replicas:
                raise ApplicationError("its answer was lost, for ever", type="Refused", non_retryable=True)
            return Change(target="deployment", after=f"{request.replicas} replicas", applied=True)

        return [fence, discard, scale]

    def _looks(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="replication.standing")
        def standing(request: StandingRequest) -> Standing:
            return Standing(
                servers={
                    name: ReplicaProgress(reachable=world.answers and name not in world.fenced)
                    for name in request.servers
                }
            )

        @activity.defn(name="health.steady")
        def steady(request: SteadyRequest) -> Steadiness:
            world.blips -= 1
            if world.watched_from is not None:
                world.watched_from -= 1
                while world.watched_from < 0:
                    activity.heartbeat()
                    activity.wait_for_cancelled_sync(0.02)
                    if activity.is_cancelled():
                        raise ApplicationError("cancelled")
            well = world.healthy and world.blips < 0
            last = Health(status="healthy" if well else "unhealthy", milliseconds=1)
            return Steadiness(steady=well, last=last, checks=1, seconds=1, longest=1)

        @activity.defn(name="sessions.end")
        def end(request: EndSessions) -> SessionsEnded:
            world._done("sessions.end", request)
            return SessionsEnded(target="sessions", after="none", applied=False, ended=0)

        @activity.defn(name="writers.stop")
        def stop(request: StopWriters) -> WritersStopped:
            if world._done("writers.stop", request) and not world.closed_by:
                world.closed.add(request.server)
            return WritersStopped(
                target="database", after="closed", applied=True, may_write=world.may_write, refused=world.closed_by
            )

        @activity.defn(name="writers.look")
        def look(request: AreWritersStopped) -> StillStopped:
            world._up("writers.look")
            there = request.server in world.closed
            return StillStopped(let_in=world.let_in_by_hand, sessions=0, by_this_run=there)

        @activity.defn(name="writers.let_in")
        def let_in(request: LetWritersIn) -> Change:
            world._done("writers.let_in", request)
            world.closed.discard(request.server)
            return Change(target="database", after="open", applied=True)

        @activity.defn(name="integrity.check")
        def check(request: IntegrityRequest) -> IntegrityReport:
            world._up(f"integrity.check.{request.server}")
            page = Damage(name="events", kind="table", what="invalid page in block 3")
            damaged = [page] if request.server == "primary" else world.restored_damage
            return IntegrityReport(
                relations=9, checked=9, damaged=damaged, checksum_failures=0, complete=True, seconds=1
            )

        @activity.defn(name="integrity.contents")
        def contents(request: ContentsRequest) -> Contents:
            world._up(f"integrity.contents.{request.server}")
            broken = [] if request.server == "primary" else world.broken_rules
            return Contents(
                tables=world.rows[request.server], last_transaction=None, checks=broken, complete=True, seconds=1
            )

        return [standing, steady, end, stop, look, let_in, check, contents]

    def _people(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="tenants.used_since")
        def used_since(request: UsedSinceRequest) -> AffectedTenants:
            world._up("tenants.used_since")
            items = [
                AffectedTenant(tenant_id=one, contact_name="Grace", email=f"it@{one}.example")
                for one in world.customers
            ]
            return AffectedTenants(items=items)

        @activity.defn(name="mail.send")
        def send(request: SendMail) -> Change:
            world._done("mail.send", request)
            return Change(target=request.to, after=request.template, applied=True)

        return [used_since, send]
