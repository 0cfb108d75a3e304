"""Whether somebody takes the steps that open runs wait for: a role whose workers are all gone holds runs in silence.

So does a version of the workers that runs end with (`versions`): no step of theirs is even begun. And a role's workers
may be gone of one version alone, while those of another ask the same queue: they don't get its steps.

A worker is there when it has asked for work within the last one and a half minutes (Temporal's own long poll takes
one), when it says itself that it lives, or when it is at a step: one with every slot taken asks for nothing. Neither
counts once it has said that it stops.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.api.enums.v1 import (
    PendingActivityState,
    TaskQueueType,
    WorkerDeploymentVersionStatus,
    WorkerStatus,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    ListWorkersRequest,
)
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from activities.common.errors import unavailable
from activities.common.refusable import Refusable
from activities.common.text import Key
from activities.common.times import Time
from activities.monitoring.versions import Seen, of_version, staying, waiting_queues, workers
from audit.text import counted
from libraries import logger

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecution

_ASKED_WITHIN = timedelta(seconds=90)
_PATIENCE = timedelta(minutes=1)
"""How long a step may wait before it counts: workers that are replaced one by one leave shorter gaps."""
_BEATS_WITHIN = timedelta(seconds=30)
_MOST = 1000
"""Open runs that are looked at, once a queue with waiting steps has no worker; the newest of them."""
_SHOWN = 100
"""Of the runs of a version, which can't be told anything; the newest of them."""
_AT_ONCE = 16
_NEVER = datetime.min.replace(tzinfo=UTC)
_PROCEDURE, _SERVICE, _SEVERITY = (
    SearchAttributeKey.for_keyword(name) for name in ("RunbookProcedure", "RunbookService", "RunbookSeverity")
)
_SIGNAL = "worker"
_log = logger(__name__)


def named(role: str, build_id: str) -> str:
    """Call a role or a version, or a role of a version, by its name."""
    return " of ".join([*([f"role {role}"] if role else []), *([f"version {build_id}"] if build_id else [])])


class LookForMissing(BaseModel):
    """Which roles and versions open runs wait for that no worker has."""

    role: str | None = Field(default=None, description="Only this one.")
    build_id: str | None = Field(default=None, description="Only this version.")


class WaitingRun(BaseModel):
    """A run with a step that nobody takes."""

    workflow_id: Key
    run_id: Key
    step: Key = Field(description="The activity's type.")
    since: Annotated[datetime, Time()]
    service: Key = ""
    severity: Key = ""
    listens: bool = Field(default=True, description="Whether it is a procedure's, which can say what it waits for.")


class MissingRole(BaseModel):
    """A role that no worker has, or a version, and who waits for it."""

    role: str = Field(description="Empty where a version has no worker at all.")
    runs: list[WaitingRun] = Field(description="The one that waits longest first; at least one.")
    build_id: str = Field(default="", description="Of a version; empty where no version has one.")

    @property
    def named(self) -> str:
        """Say which."""
        return named(self.role, self.build_id)

    def __str__(self) -> str:
        first = self.runs[0]
        if not self.role:
            more = f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else ""
            return (
                f"no worker of {self.named} since {first.since:%H:%M:%S} UTC, and open runs end with it: "
                f"`{first.workflow_id}`{more}"
            )
        return (
            f"no worker of {self.named}: {counted(len(self.runs), 'run waits', 'runs wait')}, "
            f"`{first.workflow_id}` for {first.step} since {first.since:%H:%M:%S} UTC"
        )


class MissingRoles(BaseModel):
    """What was found."""

    items: list[MissingRole]

    def __str__(self) -> str:
        return "; ".join(map(str, self.items)) or "every role and version that a run waits for has a worker"


class WorkerWord(Refusable):
    """What a run is told: nobody takes a step of it, or somebody does again."""

    role: Key
    step: Key = Field(default="", description="That it waits for; empty where workers are back.")
    since: Annotated[datetime | None, Time(made_fit=True)] = None
    back: bool = False

    def __str__(self) -> str:
        since = f" since {self.since:%H:%M:%S} UTC" if self.since else ""
        return f"{self.step} waits{since}"


class TellRuns(BaseModel):
    """Tell runs which role they wait for, or that its workers are back."""

    role: str
    runs: list[WaitingRun]
    back: bool = False


class Told(BaseModel):
    """How many of them were there to hear it."""

    told: int

    def __str__(self) -> str:
        return f"{counted(self.told, 'run')} told"


@dataclass(frozen=True)
class RoleQueue:
    """A task queue of steps, and whose it is."""

    name: str
    role: str


class Workers:
    """Asks the Temporal that the worker is connected to; raises `Unavailable` when it doesn't answer."""

    def __init__(
        self,
        task_queue: str,
        queues: Sequence[RoleQueue],
        role_of: Callable[[str], str],
        deployment: str | None = None,
    ) -> None:
        """Take the queue of runs, those of all steps, which role an activity's type has, and whose versions there are.

        Servers before 1.28 don't say which queue a pending step is in: then its role has to do.
        """
        self._task_queue, self._deployment = task_queue, deployment
        self._roles = {queue.name: queue.role for queue in queues}
        self._role_of = role_of

    @activity.defn(name="workers.missing")
    async def missing(self, request: LookForMissing) -> MissingRoles:
        """Find roles and versions without a worker that open runs wait for."""
        client = activity.client()
        roles = {name for name, role in self._roles.items() if request.role in {None, role}}
        asked = set() if request.build_id else roles
        versions: dict[str, list[WaitingRun]] = {}
        of_versions: list[MissingRole] = []
        try:
            deserted = {name for name in sorted(asked) if await _deserted(client, name)}
            query = f'ExecutionStatus = "Running" AND TaskQueue = "{self._task_queue}"'
            runs = await self._waiting(client, deserted, query) if deserted else {}
            if self._deployment and not (request.role and not request.build_id):
                if request.role is None:
                    versions = await self._stranded(client, self._deployment, request.build_id)
                away = {build_id for build_id, found in versions.items() if found}
                if request.role is not None or not request.build_id:
                    of_versions = await self._left_by_one(
                        client, self._deployment, roles - deserted, request.build_id, away
                    )
        except RPCError as error:
            unavailable("Temporal", error)
        items = [
            MissingRole(role=role, runs=sorted(of_it, key=lambda run: run.since))
            for role, of_it in sorted(runs.items())
        ]
        self._count({self._roles[name] for name in asked}, {item.role for item in [*items, *of_versions]}, versions)
        items += [
            MissingRole(role="", build_id=build, runs=of_it) for build, of_it in sorted(versions.items()) if of_it
        ]
        items += of_versions
        for item in items:
            _log.warning("nobody takes what runs wait for", role=item.role, version=item.build_id, runs=len(item.runs))
        return MissingRoles(items=items)

    @activity.defn(name="workers.tell")
    async def tell(self, request: TellRuns) -> Told:
        """Tell each run that is still open; one that knows already takes no notice."""
        client, told = activity.client(), 0
        for run in request.runs:
            word = WorkerWord(role=request.role, back=request.back)
            if not request.back:
                word = WorkerWord(role=request.role, step=run.step, since=run.since)
            try:
                await client.get_workflow_handle(run.workflow_id, run_id=run.run_id).signal(_SIGNAL, word)
                told += 1
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    unavailable("Temporal", error)
        return Told(told=told)

    async def _waiting(self, client: "Client", deserted: set[str], query: str) -> dict[str, list[WaitingRun]]:
        """Give the runs with a step in one of the queues, by role; none of a queue that some worker is at a step of."""
        at_once, found = asyncio.Semaphore(_AT_ONCE), []

        async def look(run: "WorkflowExecution") -> None:
            async with at_once:
                found.append((run, await _pending(client, run)))

        await asyncio.gather(*[look(run) async for run in client.list_workflows(query, limit=_MOST)])
        now, roles = datetime.now(UTC), {self._roles[queue] for queue in deserted}
        places = [(run, step, self._place(step)) for run, steps in found for step in steps]
        busy = {place for _, step, place in places if _at_it(step, now)}
        runs: dict[str, dict[str, WaitingRun]] = {}
        for run, step, (queue, role) in places:
            away = queue in deserted if queue else role in roles
            if away and (queue, role) not in busy and _waits(step, now):
                waiting = _waiting_run(run, step)
                known = runs.setdefault(role, {}).setdefault(run.run_id, waiting)
                if waiting.since < known.since:
                    runs[role][run.run_id] = waiting
        return {role: list(of_it.values()) for role, of_it in runs.items()}

    async def _stranded(self, client: "Client", deployment: str, only: str | None) -> dict[str, list[WaitingRun]]:
        """Give each version that is in use, and the open runs that end with it where it has no worker."""
        seen, now = await workers(client, deployment, self._task_queue), datetime.now(UTC)
        found: dict[str, list[WaitingRun]] = {}
        for build_id in await _in_use(client, deployment):
            if only not in {None, build_id}:
                continue
            found[build_id] = []
            version = seen.get(build_id, Seen())
            # Those that are replaced one by one leave a gap; one of which nothing is known any more left long ago.
            if version.workers or now - version.last < _PATIENCE:
                continue
            query = f'{staying(deployment, build_id)} AND ExecutionStatus = "Running"'
            since = now if version.last == Seen().last else version.last
            found[build_id] = [
                _run(run, step="its next step", since=max(since, run.start_time), listens=False)
                async for run in client.list_workflows(query, limit=_SHOWN)
            ]
            found[build_id].sort(key=lambda run: run.since)
        return found

    async def _left_by_one(
        self, client: "Client", deployment: str, queues: set[str], only: str | None, away: set[str]
    ) -> list[MissingRole]:
        """Give the roles whose workers are gone of one version; other versions' workers don't take its steps."""
        found: list[MissingRole] = []
        for build_id in sorted(set(await _in_use(client, deployment)) - away):
            if only not in {None, build_id}:
                continue
            lonely = set()
            for queue in sorted(queues & await waiting_queues(client, deployment, build_id)):
                seen = (await workers(client, deployment, queue, of_steps=True)).get(build_id, Seen())
                if not seen.workers and datetime.now(UTC) - seen.last >= _PATIENCE:
                    lonely.add(queue)
            query = f'{of_version(deployment, build_id)} AND ExecutionStatus = "Running"'
            runs = await self._waiting(client, lonely, query) if lonely else {}
            found += [
                MissingRole(role=role, build_id=build_id, runs=sorted(of_it, key=lambda run: run.since))
                for role, of_it in sorted(runs.items())
            ]
        return found

    def _place(self, step: PendingActivityInfo) -> tuple[str, str]:
        queue = step.activity_options.task_queue.name
        return queue, self._roles.get(queue, "") if queue else self._role_of(step.activity_type.name)

    def _count(self, roles: Iterable[str], waiting: set[str], versions: dict[str, list[WaitingRun]]) -> None:
        """Count for Prometheus; no gauge, since any worker may look next, and each would go on showing its own last."""
        meter = activity.metric_meter()
        meter.create_counter("runbooks_worker_looks", "Looks for roles without a worker.").add(1)
        missing = meter.create_counter(
            "runbooks_worker_missing", "Looks that found open runs waiting for a role that no worker has."
        )
        for role in roles:
            missing.add(1 if role in waiting else 0, {"role": role})
        if versions:
            stranded = meter.create_counter(
                "runbooks_version_missing", "Looks that found open runs whose version has no worker."
            )
            for build_id, runs in versions.items():
                stranded.add(1 if runs else 0, {"build_id": build_id})


async def _deserted(client: "Client", queue: str) -> bool:
    """Tell whether steps wait in a queue that nobody asks for work."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    if not answer.stats.approximate_backlog_count:
        return False
    lately = datetime.now(UTC) - _ASKED_WITHIN
    lives, stopped = await _heartbeats(client, queue)
    asked: dict[str, datetime] = {}
    for poller in answer.pollers:  # a process that asks for two versions is listed twice
        asked[poller.identity] = max(poller.last_access_time.ToDatetime(UTC), asked.get(poller.identity, _NEVER))
    return not any(at > max(lately, stopped.get(worker, _NEVER)) for worker, at in [*asked.items(), *lives.items()])


async def _heartbeats(client: "Client", queue: str) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Give when workers of a queue last said that they live, and when others said that they stop."""
    lives: dict[str, datetime] = {}
    stopped: dict[str, datetime] = {}
    try:
        answer = await client.workflow_service.list_workers(
            ListWorkersRequest(namespace=client.namespace, query=f'TaskQueue = "{queue}"')
        )
    except RPCError as error:
        if error.status is RPCStatusCode.UNIMPLEMENTED:  # an older server; then the last poll has to do
            return lives, stopped
        raise
    for told in (one.worker_heartbeat for one in answer.workers_info):
        of = stopped if told.status == WorkerStatus.WORKER_STATUS_SHUTTING_DOWN else lives
        of[told.worker_identity] = max(told.heartbeat_time.ToDatetime(UTC), of.get(told.worker_identity, _NEVER))
    return lives, stopped


async def _pending(client: "Client", run: "WorkflowExecution") -> list[PendingActivityInfo]:
    try:
        described = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:  # it has ended since
            return []
        raise
    return list(described.raw_description.pending_activities)


def _waits(step: PendingActivityInfo, now: datetime) -> bool:
    scheduled = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    return step.state == scheduled and now - _since(step) >= _PATIENCE


def _at_it(step: PendingActivityInfo, now: datetime) -> bool:
    started = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    return step.state == started and now - step.last_heartbeat_time.ToDatetime(UTC) <= _BEATS_WITHIN


def _since(step: PendingActivityInfo) -> datetime:
    """Tell since when somebody could have taken it; a retry that is not due yet waits for nobody."""
    due = step.next_attempt_schedule_time if step.HasField("next_attempt_schedule_time") else step.scheduled_time
    return due.ToDatetime(UTC)


def _waiting_run(run: "WorkflowExecution", step: PendingActivityInfo) -> WaitingRun:
    procedure = bool(run.typed_search_attributes.get(_PROCEDURE))
    return _run(run, step=step.activity_type.name, since=_since(step), listens=procedure)


def _run(run: "WorkflowExecution", *, step: str, since: datetime, listens: bool) -> WaitingRun:
    attributes = run.typed_search_attributes
    return WaitingRun(
        workflow_id=run.id,
        run_id=run.run_id,
        step=step,
        since=since,
        service=attributes.get(_SERVICE) or "",
        severity=attributes.get(_SEVERITY) or "",
        listens=listens,
    )


async def _in_use(client: "Client", deployment: str) -> list[str]:
    """Give the versions that open runs may end with; none where no worker of the deployment has ever started."""
    try:
        answer = await client.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    return [
        one.deployment_version.build_id
        for one in answer.worker_deployment_info.version_summaries
        if one.status != WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED
    ]
