"""A run is reset or terminated: nothing is done twice, what is told is true, and what was left is given back once."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.crash import worker
from tests.crash.customers import tenant_id
from tests.crash.forks import Fork
from tests.crash.harness import ended, in_time, prepared
from tests.crash.leftovers import LeftScenario, held, reset, running, sweep, told
from tests.crash.people import when
from tests.crash.scenario import Case, EndState, Scenario, Servers
from tests.crash.scenarios.add_gpu_node import AddGpuNodeScenario, NoNodeScenario
from tests.crash.scenarios.customer_operations import IssueScenario
from tests.crash.scenarios.rollback import RollbackScenario, UndoScenario
from tests.crash.scenarios.standard_deployment import BadVersionScenario, GoodVersionScenario
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.customer_operations.customer_words import Resolve
from workflows.customer_operations.issue_escalation import IssueEscalation
from workflows.platform.run_status import RunStatus
from workflows.scaling.emergency_scale_up import EmergencyScaleUpResult
from workflows.upkeep.sweep_holds import SweepResult


async def past(case: Case) -> None:
    """Wait until the pause's time is over."""
    marker = held(case)
    assert marker is not None
    await asyncio.sleep(max((marker.until - datetime.now(UTC)).total_seconds(), 0) + 0.2)


def messages(case: Case) -> list[str]:
    with psycopg.connect(case.servers.records) as connection:
        found = connection.execute(
            "SELECT text FROM runbooks.messages WHERE starts_with(workflow_id, 'give-back/') AND text LIKE %s",
            (f"%{case.namespace}%",),
        ).fetchall()
    return [text for (text,) in found]


@pytest.mark.timeout(600)
def test_a_live_scale_up_that_is_reset_ends_as_if_it_had_not_been(crash_servers: Servers) -> None:
    case = Case("reset", crash_servers, crash_servers.directory / "reset")
    scenario = LeftScenario()

    async def trial() -> None:
        async with running(case, scenario) as (client, handle, _):
            before = held(case)
            again = await reset(client, handle)
            await ended(scenario, again)
            result = EmergencyScaleUpResult.model_validate(await again.result())
            status = await again.query("status", result_type=RunStatus)
            state = await scenario.end_state(case)
        assert before is not None
        assert (result.before, result.target, result.complete, result.ended_by) == (3, 6, True, "expiry")
        assert "it had scaled from 3 to 6 replicas" in told(status)
        assert not re.search(r"(?<![\d:.-])12(?![\d:.-])", told(status)), "doubled twice"
        assert state.paused == []
        assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)

    asyncio.run(trial())


@pytest.mark.timeout(600)
def test_a_scale_up_that_is_reset_after_its_end_does_nothing_and_says_so(crash_servers: Servers) -> None:
    case = Case("reset-late", crash_servers, crash_servers.directory / "reset-late")
    scenario = LeftScenario()
    scenario.lease = timedelta(seconds=2)

    async def trial() -> None:
        async with running(case, scenario, reached=lambda _: True) as (client, handle, _):
            await ended(scenario, handle)
            before = await scenario.end_state(case)
            again = await reset(client, handle)
            await ended(scenario, again)
            result = EmergencyScaleUpResult.model_validate(await again.result())
            status = await again.query("status", result_type=RunStatus)
            state = await scenario.end_state(case)
        assert (result.before, result.target, result.ended_by) == (3, 6, "")
        assert "let go already" in told(status)
        assert state.counts == before.counts, "each effect once"
        assert state.paused == []

    asyncio.run(trial())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kill", [None, "GiveBackHold/give-back:before", "GiveBackHold/give-back:after"])
def test_the_pause_of_a_terminated_run_is_given_back_when_its_time_is_over(
    crash_servers: Servers, kill: str | None
) -> None:
    name = f"left-{(kill or 'calm').rpartition(':')[2]}"
    case = Case(name, crash_servers, crash_servers.directory / name)
    scenario = LeftScenario()

    async def trial() -> None:
        async with running(case, scenario, kill) as (client, handle, process):
            assert (await sweep(client, case)).given_back == [], "a run that lives keeps what it holds"
            await handle.terminate("a person's click")
            early = await sweep(client, case)
            assert early.given_back == [], "its time is not over"
            assert held(case) is not None
            await past(case)
            given = await (_killed(client, case, process) if kill else sweep(client, case))
            assert [text.partition(":")[0] for text in given.given_back] == ["scaledobject/tensafe-scaledobject"]
            assert held(case) is None
            if not kill:
                last = await sweep(client, case)
                assert (last.given_back, last.held) == ([], early.held - 1)
            state = await scenario.end_state(case)
        assert state.paused == []
        assert state.counts["replicas"] == 6
        assert len(messages(case)) == 1

    asyncio.run(trial())


async def _killed(client: Client, case: Case, dying: Fork) -> SweepResult:
    """Sweep with a worker that dies of it, and another that comes after it."""
    given = asyncio.create_task(sweep(client, case))
    await dying.ended()
    after = worker.start(case)
    try:
        return await given
    finally:
        after.kill()


async def ended_twice(scenario: Scenario, case: Case) -> tuple[list[Any], list[EndState]]:
    """Let a run end, reset it to its beginning, and let it end again: what it answered, and what it left."""
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        process = worker.start(case)
        try:
            async with in_time(client, case):
                handle = await start()
                await scenario.steer(handle)
                answers, states = [await handle.result()], [await scenario.end_state(case)]
                again = await reset(client, handle)
                try:
                    answers.append(await again.result())
                except WorkflowFailureError as failure:
                    answers.append(str(failure.cause))
                states.append(await scenario.end_state(case))
                status = await again.query("status", result_type=RunStatus)
                answers.append(told(status))
        finally:
            process.kill()
    return answers, states


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kind", [AddGpuNodeScenario, RollbackScenario, UndoScenario, GoodVersionScenario], ids=lambda kind: kind.name
)
def test_what_a_run_had_pinned_stays_pinned_when_it_is_reset(crash_servers: Servers, kind: type[Any]) -> None:
    """Read anew, 2 nodes + 1 would be 3 + 1, and an undone release would be no problem any more."""
    name = f"reset-{kind.name}"
    case = Case(name, crash_servers, crash_servers.directory / name)
    (first, second, text), (before, after) = asyncio.run(ended_twice(kind(), case))
    moment = {"watched"}
    assert {k: v for k, v in second.items() if k not in moment} == {k: v for k, v in first.items() if k not in moment}
    assert after.counts == before.counts, "each effect once"
    assert "This run was reset, and had done it before" in text


@pytest.mark.timeout(600)
def test_a_version_that_a_run_took_back_is_not_called_complete_when_it_is_reset(crash_servers: Servers) -> None:
    case = Case("reset-bad", crash_servers, crash_servers.directory / "reset-bad")
    (first, second, _), (before, after) = asyncio.run(ended_twice(BadVersionScenario(), case))
    assert first["outcome"] == "rolled back"
    assert "this run was reset, and had done it before" in second
    assert "revision 3 deployed (v1.2.3)" in second
    assert after.counts == before.counts, "no record says that it is complete"


@pytest.mark.timeout(600)
def test_a_node_that_was_taken_back_is_not_waited_for_when_the_run_is_reset(crash_servers: Servers) -> None:
    case = Case("reset-put-back", crash_servers, crash_servers.directory / "reset-put-back")
    (first, second, text), (before, after) = asyncio.run(ended_twice(NoNodeScenario(), case))
    assert (second["outcome"], second["before"], second["desired"]) == ("put back", 2, 2)
    assert second["desired"] == first["desired"]
    assert "is set to 2 nodes since" in text
    assert after.counts == before.counts


@pytest.mark.timeout(600)
def test_what_a_run_has_made_up_an_id_for_keeps_it_when_it_is_reset(crash_servers: Servers) -> None:
    """A ticket with another ID would be nobody's: its comments, its promise and its end would find none."""
    scenario = IssueScenario()
    case = Case("reset-ticket", crash_servers, crash_servers.directory / "reset-ticket")
    lea: dict[str, Any] = {"who": "lea", "role": "engineering-lead"}

    async def trial() -> None:
        client = await connect(TemporalSettings(address=case.servers.temporal))
        async with prepared(scenario, client, case) as start:
            process = worker.start(case)
            try:
                async with in_time(client, case):
                    handle = await start()
                    await when(handle, lambda status: bool(status.waiting_for))
                    before = await scenario.end_state(case)
                    again = await reset(client, handle)
                    await when(again, lambda status: bool(status.waiting_for))
                    assert (await scenario.end_state(case)).counts == before.counts, "each effect once"
                    await again.execute_update(IssueEscalation.resolve, Resolve(**lea, resolution="done"))
                    result = await again.result()
                    state = await scenario.end_state(case)
            finally:
                process.kill()
        (ticket,) = tickets(case)
        assert ticket == (result["ticket_id"], "closed")
        assert (state.counts["support_tickets ticket"], state.counts["audit_log close"]) == (1, 1)

    asyncio.run(trial())


def tickets(case: Case) -> list[tuple[str, str]]:
    with psycopg.connect(case.servers.records) as connection:
        return connection.execute(
            "SELECT ticket_id, status FROM runbooks.support_tickets WHERE tenant_id = %s", (tenant_id(case),)
        ).fetchall()
