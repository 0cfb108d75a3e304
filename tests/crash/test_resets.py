"""Every procedure is reset, behind an effect or after its end: each effect once, nothing held, and a true account."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from tests.crash import worker
from tests.crash.harness import ended, in_time, prepared
from tests.crash.leftovers import reset, told
from tests.crash.people import decide, tell, when
from tests.crash.scenario import Case, EndState, Scenario, Servers
from tests.crash.scenarios.api_key_rotation import CompromisedScenario, RotationScenario
from tests.crash.scenarios.certificate_renewal import CertificateRenewalScenario
from tests.crash.scenarios.compliance_audit import ComplianceAuditScenario
from tests.crash.scenarios.customer_operations import ChurnScenario
from tests.crash.scenarios.daily_operations import EveningScenario, MorningScenario, PulseScenario
from tests.crash.scenarios.database_failover import FailoverScenario
from tests.crash.scenarios.database_maintenance import MaintenanceScenario
from tests.crash.scenarios.full_service_recovery import RecoveryScenario
from tests.crash.scenarios.maintenance_window import MaintenanceWindowScenario
from tests.crash.scenarios.manual_scale_up import ManualScaleUpScenario
from tests.crash.scenarios.p1_incident import P1Scenario, ScaledP1Scenario
from tests.crash.scenarios.p2_incident import P2Scenario
from tests.crash.scenarios.point_in_time_restore import RestoreScenario
from tests.crash.scenarios.security_incident import SecurityIncidentScenario
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus
from workflows.security.security_incident import SecurityIncident

Handle = WorkflowHandle[Any, Any]

LATE = "its end"
AT_ONCE = 3
"""They mostly wait for timers and for people; more at a time would slow each other down on two cores."""


class AnyOrder:
    """People who answer whatever is asked: a run that had gone on before its reset asks less."""

    answers: tuple[tuple[str, str], ...] = ()

    async def steer(self, handle: Handle) -> None:
        await asyncio.gather(*(decide(handle, *answer) for answer in self.answers), return_exceptions=True)


class Security(SecurityIncidentScenario):
    """Two people who answer whatever is asked."""

    async def steer(self, handle: Handle) -> None:
        asked = (("rotate-1", "all"), ("block", "for-a-time"), ("drain-1", "force"))
        both = [self._says(handle, who, *answer) for answer in asked for who in ("ada", "bob")]
        last = [self._says(handle, "ada", *answer) for answer in (("legal", "none"), ("return", "uncordon"))]
        await asyncio.gather(*both, *last, return_exceptions=True)

    async def _says(self, handle: Handle, who: str, question: str, choice: str) -> None:
        await when(handle, lambda status: any(each.id == question for each in status.questions))
        if question == "return":  # not before what was blocked is given back by itself
            await when(handle, lambda status: "Give back what was blocked" in str(status.entries))
        word = Decision(who=who, role="security", question=question, choice=choice, reason="as it was seen")
        await tell(handle, SecurityIncident.decide, word)


class Failover(AnyOrder, FailoverScenario):
    answers = (("failover-1", "promote"), ("return-1", "rejoin"))


class Maintenance(MaintenanceScenario):
    """Somebody who answers whatever is asked."""

    async def steer(self, handle: Handle) -> None:
        await asyncio.gather(decide(handle, "drop-indexes", "drop"), self._ends(handle), return_exceptions=True)

    async def _ends(self, handle: Handle) -> None:
        status = await when(handle, lambda status: status.waiting_for == "decide end-1")
        (question,) = status.questions
        await decide(handle, question.id, list(question.options)[-1])


TRIED: tuple[tuple[type[Any], str], ...] = (
    (Failover, "promote"),
    (RestoreScenario, "point"),
    (RestoreScenario, LATE),
    (RecoveryScenario, "traffic-50"),
    (RecoveryScenario, LATE),
    (ScaledP1Scenario, "scale"),
    (P1Scenario, LATE),
    (P2Scenario, "scale"),
    (Security, "isolate"),
    (Maintenance, "vacuum"),
    (Maintenance, "reindex"),
    (Maintenance, LATE),
    (MaintenanceWindowScenario, "start-window"),
    (MaintenanceWindowScenario, LATE),
    (RotationScenario, "deprecate"),
    (RotationScenario, LATE),
    (CompromisedScenario, "issue"),
    (CompromisedScenario, LATE),
    (ComplianceAuditScenario, LATE),
    (CertificateRenewalScenario, "install"),
    (MorningScenario, LATE),
    (PulseScenario, LATE),
    (EveningScenario, LATE),
    (ManualScaleUpScenario, LATE),
    (ChurnScenario, "intervention"),
)
"""The scenario, and the effect behind which it is reset: where the most is pinned, held or begun. Slow ones first."""


@dataclass
class End:
    """What one end of a run left, answered and told."""

    state: EndState
    answer: dict[str, Any]
    told: str

    @property
    def account(self) -> dict[str, Any]:
        """What a second end must say as well; times are others."""
        same = ("outcome", "rotated", "old_key", "new_key", "restarted", "restored", "mitigations", "target", "server")
        return {name: self.answer[name] for name in same if name in self.answer}


def name_of(tried: tuple[type[Any], str]) -> str:
    return f"{tried[0].name}, behind {tried[1]}"


async def steered(scenario: Scenario, client: Client, case: Case, handle: Handle) -> None:
    """Let people do what they do, as far as they are asked: a run that had gone on before its reset asks less."""
    people = asyncio.create_task(scenario.steer(handle))
    try:
        async with in_time(client, case):
            await ended(scenario, handle)
    finally:
        people.cancel()
        await asyncio.gather(people, return_exceptions=True)


async def behind(scenario: Scenario, client: Client, case: Case, handle: Handle, step: str) -> None:
    """Let it go on, with its people, until an effect is done."""
    people = asyncio.create_task(scenario.steer(handle))
    begun: set[int] = set()
    try:
        async with in_time(client, case):
            async for event in handle.fetch_history_events(wait_new_event=True):
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    payloads = event.activity_task_scheduled_event_attributes.input.payloads
                    bodies: Iterable[Any] = await client.data_converter.decode(payloads)
                    keys = [body["effect"]["key"] for body in bodies if isinstance(body, dict) and "effect" in body]
                    begun.update(event.event_id for key in keys if key.rpartition("/")[2] == step)
                elif event.activity_task_completed_event_attributes.scheduled_event_id in begun:
                    return
        raise AssertionError(f"it has ended, and never did {step}")
    finally:
        people.cancel()
        await asyncio.gather(people, return_exceptions=True)


async def _told_by_who_is_alive(client: Client, case: Case, handle: Handle) -> RunStatus:
    """Ask it for its status; what the killed worker is still asked for is asked again."""
    async with in_time(client, case):
        while True:
            try:
                status: RunStatus = await handle.query("status", result_type=RunStatus)
            except RPCError:
                continue
            return status


async def trial(scenario: Scenario, client: Client, case: Case, step: str) -> list[End]:
    """Run it, and reset it behind a step, or after its end; gives each end."""

    async def end(handle: Handle) -> End:
        status = await _told_by_who_is_alive(client, case, handle)
        return End(await scenario.end_state(case), await handle.result(), told(status))

    async with prepared(scenario, client, case) as start:
        process = worker.start(case)
        try:
            handle, ends = await start(), []
            if step == LATE:
                await steered(scenario, client, case, handle)
                ends.append(await end(handle))
            else:
                await behind(scenario, client, case, handle, step)
            again = await reset(client, handle)
            await steered(scenario, client, case, again)
            process.kill()
            process = worker.start(case)  # what it tells, one that replays all of it has to tell as well
            return [*ends, await end(again)]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def trials(crash_servers: Servers, request: pytest.FixtureRequest) -> dict[str, list[End] | BaseException]:
    """Try those that are asked for, a few at a time."""
    chosen = {item.callspec.params["tried"] for item in request.session.items if item.path == request.path}  # type: ignore[attr-defined]
    asked = [tried for tried in TRIED if tried in chosen]

    async def one(free: asyncio.Semaphore, client: Client, number: int, tried: tuple[type[Any], str]) -> list[End]:
        kind, step = tried
        name = f"reset-{number}-{kind.name}"
        async with free:
            return await trial(kind(), client, Case(name, crash_servers, crash_servers.directory / name), step)

    async def everything() -> list[list[End] | BaseException]:
        client, free = await connect(TemporalSettings(address=crash_servers.temporal)), asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(
            *(one(free, client, number, tried) for number, tried in enumerate(asked)), return_exceptions=True
        )

    return dict(zip(map(name_of, asked), asyncio.run(everything()), strict=True))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tried", TRIED, ids=name_of)
def test_a_run_that_is_reset_leaves_what_one_that_was_not_leaves(
    trials: dict[str, list[End] | BaseException], tried: tuple[type[Any], str]
) -> None:
    ends = trials[name_of(tried)]
    if isinstance(ends, BaseException):
        raise ends
    last = ends[-1]
    assert last.state.paused == []
    assert {name: last.state.counts[name] for name in tried[0].leaves} == dict(tried[0].leaves), "each effect once"
    assert "This run was reset" in last.told
    if len(ends) > 1:
        assert last.state.counts == ends[0].state.counts, "each effect once"
        assert last.account == ends[0].account
