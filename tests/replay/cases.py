"""The runs whose histories are kept: each procedure's world, input, and what people do in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.client import WorkflowHandle

from activities.catalogue.service import IncidentPolicy
from activities.records.alerts import Alert
from tests.workflows.steering import until
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.platform import BAD, GOOD, Platform, image
from tests.workflows.worlds.world import World
from workflows.deployment.rollback import RollbackRequest
from workflows.deployment.standard_deployment import StandardDeploymentRequest
from workflows.incident_response.command import HandBack, TakeOver
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend, Resume
from workflows.scaling.add_gpu_node import AddGpuNodeRequest
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest
from workflows.scaling.manual_scale_up import ManualScaleUpRequest

Handle = WorkflowHandle[Any, Any]

ADA = {"who": "ada", "role": "commander"}
CLOSING = Closing(**ADA, resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")
ALERT = Alert(
    source="alertmanager", fingerprint="f00", name="TensafeServerDown", starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC)
)


async def nobody(handle: Handle, world: World | Company) -> None:
    """Need nobody."""


@dataclass(frozen=True)
class Case:
    """One run."""

    request: BaseModel
    steer: Callable[[Handle, Any], Awaitable[None]] = nobody
    prepare: Callable[[Any], None] = lambda _: None
    world: Callable[[], World | Company] = field(default=Platform)
    cancelled: bool = False


async def waiting(handle: Handle, what: str) -> None:
    await until(handle, lambda status: status.waiting_for == what)


# -- P1 ------------------------------------------------------------------------------------------------------


async def closes(handle: Handle, world: World) -> None:
    await waiting(handle, "close")
    await handle.execute_update(P1Incident.close, CLOSING)


async def answers(handle: Handle, world: World) -> None:
    await waiting(handle, "decide mitigation-1")
    await handle.execute_update("decide", Decision(**ADA, question="mitigation-1", choice="restart"))
    await closes(handle, world)


async def sees_it_fire_again(handle: Handle, world: World) -> None:
    await waiting(handle, "close")
    world.break_down()
    await handle.signal(P1Incident.alert, ALERT.model_copy(update={"starts_at": datetime(2026, 2, 4, 5, tzinfo=UTC)}))
    await answers(handle, world)


async def has_several_alerts_and_a_relapse(handle: Handle, world: World) -> None:
    """Two alerts at once, of which one ends; mitigated, and lost again; a person declines, another one restarts."""
    second = ALERT.model_copy(update={"fingerprint": "f01", "labels": {"pod": "tensafe-server-1"}})
    await handle.signal(P1Incident.alerts, [ALERT, second])
    await waiting(handle, "close")
    await handle.signal(P1Incident.alerts, [ALERT.model_copy(update={"status": "resolved"})])
    world.break_down()
    world.cures = {"restart"}
    later = datetime(2026, 2, 4, 5, tzinfo=UTC)
    await handle.signal(P1Incident.alerts, [second.model_copy(update={"starts_at": later})])
    await answers(handle, world)


async def is_told_ends_without_their_starts(handle: Handle, world: World) -> None:
    """One source names its firings, another says nothing of which one has ended."""
    named = ALERT.model_copy(update={"source": "monitors", "key": "cycle-1"})
    await handle.signal(P1Incident.alerts, [named])
    await waiting(handle, "close")
    at = datetime(2026, 2, 4, 3, 20, tzinfo=UTC)
    over = {"status": "resolved", "starts_at": at, "ends_at": at}
    await handle.signal(P1Incident.alerts, [one.model_copy(update=over) for one in (named, ALERT)])
    await closes(handle, world)


async def is_taken_over_and_given_back(handle: Handle, world: World) -> None:
    await waiting(handle, "decide mitigation-1")
    await handle.execute_update("decide", Decision(**ADA, question="mitigation-1", choice="none"))
    await handle.execute_update(P1Incident.take_over, TakeOver(**ADA, reason="by hand"))
    await until(handle, lambda status: "has it" in status.board)
    await handle.execute_update(P1Incident.hand_back, HandBack(**ADA))
    await waiting(handle, "decide mitigation-2")
    await handle.execute_update("decide", Decision(**ADA, question="mitigation-2", choice="restart"))
    await closes(handle, world)


async def is_cancelled(handle: Handle, world: World) -> None:
    await waiting(handle, "close")
    await handle.cancel()


def unclear(world: World) -> None:
    world.healthy = False


def p1_world() -> World:
    return World(IncidentPolicy(decision_timeout=timedelta(hours=1)))


# -- scaling -------------------------------------------------------------------------------------------------


async def paused(handle: Handle) -> None:
    await until(handle, lambda status: status.phase == "Autoscaler paused" and "Pods" in str(status.entries))


async def extends_and_resumes(handle: Handle, world: Platform) -> None:
    await paused(handle)
    await handle.execute_update("extend", Extend(**ADA, by=timedelta(minutes=15)))
    await handle.execute_update("resume", Resume(**ADA))


async def cancels(handle: Handle, world: Platform) -> None:
    await paused(handle)
    await handle.cancel()


def no_node(world: Platform) -> None:
    world.node_comes = False


async def puts_back(handle: Handle, world: Platform) -> None:
    await waiting(handle, "decide put-back")
    await handle.execute_update("decide", Decision(**ADA, question="put-back", choice="put-back"))


# -- deployment ----------------------------------------------------------------------------------------------


def breaks(world: Platform) -> None:
    world.bad_versions = {BAD}


def tests_failed(world: Platform) -> None:
    world.tests = "failed"


async def overrides(handle: Handle, world: Platform) -> None:
    await waiting(handle, "decide predeploy")
    word = Decision(**ADA, question="predeploy", choice="deploy-anyway", reason="hotfix")
    await handle.execute_update("decide", word)


def went_bad(world: Platform) -> None:
    world.releases = [(1, "superseded", GOOD), (2, "deployed", BAD)]
    world.images = {1: image(GOOD), 2: image(BAD)}
    world.revision, world.healthy = 2, False


CASES: dict[str, Case] = {
    "p1_incident-rolled-back": Case(P1Request(alert=ALERT), closes, lambda world: world.bad_release(), p1_world),
    "p1_incident-asked": Case(P1Request(alert=ALERT), answers, unclear, p1_world),
    "p1_incident-fired-again": Case(
        P1Request(alert=ALERT), sees_it_fire_again, lambda world: world.bad_release(), p1_world
    ),
    "p1_incident-relapsed": Case(
        P1Request(alert=ALERT), has_several_alerts_and_a_relapse, lambda world: world.bad_release(), p1_world
    ),
    "p1_incident-relapsed-told-once": Case(
        P1Request(alert=ALERT), has_several_alerts_and_a_relapse, lambda world: world.bad_release(), p1_world
    ),
    "p1_incident-ends-untold": Case(
        P1Request(alert=ALERT), is_told_ends_without_their_starts, lambda world: world.bad_release(), p1_world
    ),
    "p1_incident-taken-over": Case(P1Request(alert=ALERT), is_taken_over_and_given_back, unclear, p1_world),
    "p1_incident-cancelled": Case(
        P1Request(alert=ALERT), is_cancelled, lambda world: world.bad_release(), p1_world, cancelled=True
    ),
    "p1_incident-false-alarm": Case(P1Request(alert=ALERT), closes, world=p1_world),
    "manual_scale_up-scaled": Case(ManualScaleUpRequest()),
    "emergency_scale_up-expired": Case(EmergencyScaleUpRequest(alert=ALERT)),
    "emergency_scale_up-resumed": Case(EmergencyScaleUpRequest(), extends_and_resumes),
    "emergency_scale_up-cancelled": Case(EmergencyScaleUpRequest(), cancels, cancelled=True),
    "add_gpu_node-added": Case(AddGpuNodeRequest()),
    "add_gpu_node-put-back": Case(AddGpuNodeRequest(), puts_back, no_node),
    "standard_deployment-complete": Case(StandardDeploymentRequest(version="v1.2.5")),
    "standard_deployment-overridden": Case(StandardDeploymentRequest(version="v1.2.5"), overrides, tests_failed),
    "standard_deployment-rolled-back": Case(StandardDeploymentRequest(version=BAD), prepare=breaks),
    "rollback-by-helm": Case(RollbackRequest(reason="Error rate spiked to 5%"), prepare=went_bad),
}
