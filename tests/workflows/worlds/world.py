"""A small world for unit tests of procedures: every activity's name, answered from a state the test sets up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.autoscaling.states import Autoscaling, AutoscalingRequest
from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import ApprovalPolicy, CustomerPolicy, IncidentPolicy, Service, ServiceMetrics
from activities.common.effects import Change
from activities.evidence.evidence import CollectLogs, ExportMetrics, Invite, StoredEvidence, StoreDocument
from activities.kubernetes.cluster import (
    AwaitRollout,
    EventsRequest,
    PodsRequest,
    RestartRollout,
    ScaleDeployment,
    UndoRollout,
    Workload,
)
from activities.kubernetes.states import DeploymentState, Events, Pod, Pods, Revision, Rollout
from activities.messages.chat.chat import Message, PostMessage, ScheduleMessage
from activities.messages.paging.paging import AcknowledgePage, PageOnCall, ResolvePage
from activities.messages.status_page.status_page import UpdateStatusPage
from activities.monitoring.health import Health, HealthRequest, Steadiness, SteadyRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.monitoring.runs import Taken, TakenRequest
from activities.records.alerts import AcknowledgeAlert, ResolveAlert
from activities.records.deployments import Deployment, Deployments, RecentDeploymentsRequest, RecordDeployment
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    MarkIncident,
    NoteIncident,
    OpenIncident,
    OpenIncidents,
    OpenIncidentsRequest,
    RaiseIncident,
    RelapseIncident,
    SchedulePostMortem,
)
from activities.records.on_call import OnCall, OnCallRequest
from activities.records.windows import CurrentWindow, CurrentWindowRequest, Window

PRODUCT = "TenSafe"
"""What the company of the tests sells."""


def named(known: list[Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Give activities by their names."""
    return {activity._Definition.must_from_callable(one).name or "": one for one in known}


def instead(known: list[Callable[..., Any]], *mine: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Give `known` with `mine` in place of those of the same name."""
    return list(named([*known, *mine]).values())


class World:
    """State of the outside, and every effect done to it in order."""

    def __init__(self, policy: IncidentPolicy | None = None, approvals: ApprovalPolicy | None = None) -> None:
        self.others: dict[str, Service] = {}
        """Other services of the catalogue."""
        self.service = Service(
            namespace="tensafe",
            deployment="tensafe-server",
            selector="app=tensafe",
            health_url="http://127.0.0.1:1/health",
            time_zone="Europe/Berlin",
            metrics=ServiceMetrics(error_rate="errors", saturation="saturation"),
            incident=policy or IncidentPolicy(),
            customers=CustomerPolicy(product=PRODUCT),
        )
        self.approvals = approvals or ApprovalPolicy(allow_unsigned=True)
        self.healthy = True
        self.ready = 3
        self.crashing = False
        self.stopped_by: str | None = None
        """The run that keeps the service without replicas."""
        self.brought_back: tuple[str, datetime] | None = None
        """The run that has ended such a stop, and when."""
        self.window: Window | None = None
        """The maintenance window that the service is in."""
        self.revision = 1
        self.images = {1: "registry.example/tensafe-server:v1.2.3"}
        self.ages: dict[int, timedelta] = {}
        """How long ago a revision came, where that wasn't just now."""
        self.earlier: dict[int, list[int]] = {}
        """Numbers that a revision had before it was gone back to."""
        self.deployments: list[Deployment] = []
        self.rolled_out_ago = timedelta(days=3)
        self.autoscaling = Autoscaling(hpa_min=3, hpa_max=10, hpa_current=3, hpa_desired=3)
        self.saturation: float | None = 0.2
        self.error_rate: float | None = None
        self.blips = 0
        """How often health doesn't hold, though an answer was good."""
        self.cures = {"rollback", "restart", "scale"}
        self.incidents: list[OpenIncident] = []
        """What the records have open of the service."""
        self.taken: list[str] = []
        """Firings that the last P1 run of the service took."""
        self.effects: list[tuple[str, Any]] = []
        self.down: set[str] = set()

    def bad_release(self) -> None:
        """v1.2.4 went out a minute ago, and its pods crash."""
        self.images[2] = "registry.example/tensafe-server:v1.2.4"
        self.revision = 2
        self.rolled_out_ago = timedelta(minutes=1)
        self.break_down()

    def break_down(self) -> None:
        self.healthy, self.crashing, self.ready = False, True, 0

    def cure(self, by: str) -> None:
        if by in self.cures:
            self.healthy, self.crashing, self.ready = True, False, 3

    def done(self, name: str) -> list[Any]:
        return [request for effect, request in self.effects if effect == name]

    def activities(self) -> list[Callable[..., Any]]:
        catalogue = Catalogue({"tensafe-server": self.service, **self.others}, self.approvals)
        return [catalogue.resolve, catalogue.users_of_database, *self._reads(), *self._effects()]

    def _up(self, name: str) -> None:
        if name.split(".", maxsplit=1)[0] in self.down or name in self.down:
            raise ApplicationError(f"{name} did not answer", type="Unavailable")

    def _done(self, name: str, request: Any) -> bool:
        """Note an effect; False in plan mode."""
        self._up(name)
        if not request.effect.dry_run:
            self.effects.append((name, request))
        return not request.effect.dry_run

    def _stop(self) -> dict[str, Any]:
        until = datetime(2026, 2, 5, tzinfo=UTC) if self.stopped_by else None
        by, at = self.brought_back or (None, None)
        stopped = {"stopped_by": self.stopped_by, "stopped_until": until}
        return {**stopped, "brought_back_by": by, "brought_back_at": at}

    def bring_back(self, at: datetime) -> None:
        """The run that keeps it stopped lets it go, as seen from now on."""
        assert self.stopped_by is not None
        self.brought_back, self.stopped_by = (self.stopped_by, at), None

    def _reads(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="kubernetes.pods")
        def pods(request: PodsRequest) -> Pods:
            world._up("kubernetes.pods")
            return Pods(
                items=[
                    Pod(
                        name=f"tensafe-server-{n}",
                        phase="Running",
                        ready=n < world.ready,
                        restarts=0,
                        reason="CrashLoopBackOff" if world.crashing else "",
                        image=world.images[world.revision],
                        created_at=datetime.now(UTC),
                    )
                    for n in range(0 if world.stopped_by else 3)
                ]
            )

        @activity.defn(name="kubernetes.events")
        def events(request: EventsRequest) -> Events:
            world._up("kubernetes.events")
            return Events(items=[])

        @activity.defn(name="kubernetes.deployment")
        def deployment(request: Workload) -> DeploymentState:
            world._up("kubernetes.deployment")
            now = activity.info().current_attempt_scheduled_time
            return DeploymentState(
                name="tensafe-server",
                namespace="tensafe",
                replicas=3,
                updated=3,
                ready=world.ready,
                available=world.ready,
                paused=False,
                current_revision=world.revision,
                revisions=[
                    Revision(
                        number=n,
                        images=[image],
                        created_at=now - world.ages.get(n, timedelta(0)),
                        pod_template_hash=str(n),
                        earlier=world.earlier.get(n, []),
                    )
                    for n, image in world.images.items()
                ],
                rolled_out_at=now - world.rolled_out_ago,
                **world._stop(),
            )

        @activity.defn(name="kubernetes.autoscaling")
        def autoscaling(request: AutoscalingRequest) -> Autoscaling:
            world._up("kubernetes.autoscaling")
            return world.autoscaling

        @activity.defn(name="kubernetes.await_rollout")
        def await_rollout(request: AwaitRollout) -> Rollout:
            world._up("kubernetes.await_rollout")
            return Rollout(
                complete=not world.crashing, ready=world.ready, replicas=3, revision=world.revision, seconds=1
            )

        @activity.defn(name="health.check")
        def check(request: HealthRequest) -> Health:
            return Health(status="healthy" if world.healthy else "unhealthy", milliseconds=1)

        @activity.defn(name="health.steady")
        def steady(request: SteadyRequest) -> Steadiness:
            world.blips -= 1
            steady = world.healthy and world.blips < 0
            last = Health(status="healthy" if steady else "unhealthy", milliseconds=1)
            seconds = request.steady_for.total_seconds()
            return Steadiness(steady=steady, last=last, checks=9, seconds=seconds, longest=seconds)

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            world._up("metrics.snapshot")
            errors = {} if world.error_rate is None else {"error_rate": world.error_rate}
            return Metrics(values={"saturation": world.saturation, **errors})

        @activity.defn(name="records.recent_deployments")
        def recent(request: RecentDeploymentsRequest) -> Deployments:
            world._up("records.recent_deployments")
            return Deployments(items=world.deployments)

        @activity.defn(name="records.open_incidents")
        def open_incidents(request: OpenIncidentsRequest) -> OpenIncidents:
            world._up("records.open_incidents")
            return OpenIncidents(items=[one for one in world.incidents if one.severity in request.severities])

        @activity.defn(name="records.on_call")
        def on_call(request: OnCallRequest) -> OnCall:
            world._up("records.on_call")
            return OnCall(name="oncall@tensafe.io")

        @activity.defn(name="windows.current")
        def window(request: CurrentWindowRequest) -> CurrentWindow:
            world._up("windows.current")
            return CurrentWindow(window=world.window)

        @activity.defn(name="runs.taken")
        def taken(request: TakenRequest) -> Taken:
            world._up("runs.taken")
            return Taken(episodes=world.taken)

        return [
            window,
            pods,
            events,
            deployment,
            autoscaling,
            await_rollout,
            check,
            steady,
            snapshot,
            recent,
            open_incidents,
            on_call,
            taken,
        ]

    def _effects(self) -> list[Callable[..., Any]]:
        world = self

        def changing(name: str, model: type[Any], after: Callable[[Any], None] = lambda _: None) -> Callable[..., Any]:
            def change(request: Any) -> Change:
                if applied := world._done(name, request):
                    after(request)
                return Change(target=name, before="before", after="after", applied=applied)

            change.__annotations__["request"] = model
            return activity.defn(name=name)(change)

        def storing(name: str, model: type[Any]) -> Callable[..., Any]:
            def store(request: Any) -> StoredEvidence:
                world._done(name, request)
                return StoredEvidence(uri=f"file:///{request.incident_id}/{request.name}", sha256="0" * 64, size=1)

            store.__annotations__["request"] = model
            return activity.defn(name=name)(store)

        def messaging(name: str, model: type[Any]) -> Callable[..., Any]:
            def send(request: Any) -> Message:
                return Message(channel=request.channel, message_id="1.0", applied=world._done(name, request))

            send.__annotations__["request"] = model
            return activity.defn(name=name)(send)

        def undone(request: UndoRollout) -> None:
            world.revision = max(world.images) + 1
            world.images[world.revision] = world.images.pop(request.to_revision)
            world.earlier[world.revision] = [*world.earlier.pop(request.to_revision, []), request.to_revision]
            world.rolled_out_ago = timedelta(0)
            world.cure("rollback")

        def recorded(request: RecordDeployment) -> None:
            world.deployments.insert(
                0, Deployment(started_at=request.at, **request.model_dump(exclude={"at", "effect"}))
            )

        return [
            changing("records.record_deployment", RecordDeployment, recorded),
            changing("kubernetes.undo_rollout", UndoRollout, undone),
            changing("kubernetes.restart_rollout", RestartRollout, lambda _: world.cure("restart")),
            changing("kubernetes.scale", ScaleDeployment, lambda _: world.cure("scale")),
            changing("records.acknowledge_alert", AcknowledgeAlert),
            changing("records.resolve_alert", ResolveAlert),
            changing("records.create_incident", CreateIncident),
            changing("records.note_incident", NoteIncident),
            changing("records.mark_incident", MarkIncident),
            changing("records.raise_incident", RaiseIncident),
            changing("records.relapse_incident", RelapseIncident),
            changing("records.close_incident", CloseIncident),
            changing("records.schedule_post_mortem", SchedulePostMortem),
            changing("paging.page", PageOnCall),
            changing("paging.acknowledge", AcknowledgePage),
            changing("paging.resolve", ResolvePage),
            changing("statuspage.update", UpdateStatusPage),
            messaging("slack.post", PostMessage),
            messaging("slack.schedule", ScheduleMessage),
            storing("evidence.collect_logs", CollectLogs),
            storing("evidence.export_metrics", ExportMetrics),
            storing("evidence.store_document", StoreDocument),
            storing("evidence.invite", Invite),
        ]
