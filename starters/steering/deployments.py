"""Versions of the workers: which one new runs go to, which ones open runs still need, and whether these have workers.

Temporal's Worker Versioning: https://docs.temporal.io/worker-versioning. A run that stays with its version waits, and
nobody sees it, when that version has no worker any more: so both are counted here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentInfo
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.monitoring.versions import Seen, staying, workers
from starters.steering.errors import NoSuchRun, Refused
from starters.steering.session import Session

Status = Literal["current", "ramping", "draining", "drained", "inactive"]

_STATUS: dict[int, Status] = {
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT: "current",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING: "ramping",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING: "draining",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED: "drained",
}
MOST_VERSIONS = 100
"""The server keeps no more of a deployment (`matching.maxVersionsInDeployment`); it drops drained ones first."""


@dataclass(frozen=True)
class Version:
    """One version of the deployment."""

    build_id: str
    status: Status
    percentage: float
    """Of new runs, while it is ramping."""

    since: datetime
    """When it became what it is; its beginning where it has never been used."""

    open_runs: int
    """Those that end with it. Long ones move to the current version with their next step and don't count."""

    workers: int
    """Those that have asked for work within the last one and a half minutes."""

    @property
    def stranded(self) -> bool:
        """Whether open runs wait for a worker that is not there."""
        return self.open_runs > 0 and self.workers == 0


@dataclass(frozen=True)
class Deployment:
    """All versions, newest first, and what has none."""

    name: str
    versions: list[Version]
    unversioned_runs: int
    """Open runs that no versioned worker has taken yet; they move to the current version with their next step."""

    @property
    def current(self) -> Version | None:
        """The one that new runs go to."""
        return next((version for version in self.versions if version.status == "current"), None)


async def look(session: Session) -> Deployment:
    """Read the settings' deployment.

    Raises:
        Refused: the settings name none.
        NoSuchRun: no worker of it has ever started.

    """
    name = _name(session)
    told = (await _described(session, name)).worker_deployment_info
    seen = await workers(session.client, name, session.settings.temporal.task_queue)
    versions = []
    for one in told.version_summaries:
        build_id = one.deployment_version.build_id
        changed = one.routing_update_time if one.HasField("routing_update_time") else one.create_time
        versions.append(
            Version(
                build_id=build_id,
                status=_STATUS.get(one.status, "inactive"),
                percentage=_percentage(told, build_id),
                since=changed.ToDatetime(UTC),
                open_runs=await _open(session, staying(name, build_id)),
                workers=seen.get(build_id, Seen()).workers,
            )
        )
    newest = sorted(versions, key=lambda version: version.since, reverse=True)
    unversioned = await _open(session, f"TemporalWorkerDeploymentVersion IS NULL AND {_ours(session)}")
    return Deployment(name, newest, unversioned)


async def make_current(session: Session, build_id: str, identity: str) -> None:
    """Let new runs go to this version, and those that move on.

    Raises:
        NoSuchRun: there is no such version.
        Refused: it has no worker, so that everything would wait; or see `look`.

    """
    found = await _with_workers(session, build_id)
    service = session.client.workflow_service
    await service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=session.client.namespace, deployment_name=found.name, build_id=build_id, identity=identity
        )
    )


async def ramp(session: Session, build_id: str, percentage: float, identity: str) -> None:
    """Let so many of 100 new runs go to this version; 0 ends it.

    Raises:
        NoSuchRun: there is no such version.
        Refused: it has no worker, or is the current one; or see `look`.

    """
    if percentage:
        found = await _with_workers(session, build_id)
        if found.current and found.current.build_id == build_id:
            raise Refused(f"{build_id} is the current version: every new run goes to it")
    service = session.client.workflow_service
    await service.set_worker_deployment_ramping_version(
        SetWorkerDeploymentRampingVersionRequest(
            namespace=session.client.namespace,
            deployment_name=_name(session),
            identity=identity,
            build_id=build_id if percentage else "",
            percentage=percentage,
        )
    )


async def runs_of(session: Session, build_id: str, most: int) -> list[tuple[str, str]]:
    """Give workflow ID and type of open runs that end with this version, oldest first."""
    query = f'{staying(_name(session), build_id)} AND ExecutionStatus = "Running"'
    found = [run async for run in session.client.list_workflows(query, limit=most)]
    return [(run.id, run.workflow_type) for run in sorted(found, key=lambda run: run.start_time)]


def _name(session: Session) -> str:
    name = session.settings.worker.deployment
    if name is None:
        raise Refused("the workers have no versions: `[worker] deployment` names none (docs/upgrading.md, Versions)")
    return name


def _ours(session: Session) -> str:
    return f'TaskQueue = "{session.settings.temporal.task_queue}"'


async def _with_workers(session: Session, build_id: str) -> Deployment:
    found = await look(session)
    version = next((one for one in found.versions if one.build_id == build_id), None)
    if version is None:
        known = ", ".join(one.build_id for one in found.versions)
        raise NoSuchRun(f"{found.name} has no version {build_id}. Known: {known}")
    if not version.workers:
        raise Refused(f"no worker of {build_id} asks for work: whatever goes to it would wait. Start one first")
    return found


async def _described(session: Session, name: str) -> DescribeWorkerDeploymentResponse:
    try:
        return await session.client.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=session.client.namespace, deployment_name=name)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NoSuchRun(
            f"no worker of deployment {name} has started yet: start one, then make its version current"
        ) from None


def _percentage(told: WorkerDeploymentInfo, build_id: str) -> float:
    routing: RoutingConfig = told.routing_config
    ramping = routing.ramping_deployment_version.build_id == build_id
    return routing.ramping_version_percentage if ramping else 0.0


async def _open(session: Session, query: str) -> int:
    return (await session.client.count_workflows(f'{query} AND ExecutionStatus = "Running"')).count
