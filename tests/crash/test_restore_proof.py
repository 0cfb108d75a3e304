"""The whole restore on real servers: every row of before the mark is back, none of after, whoever could not be read."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from pydantic import TypeAdapter

from sandbox.service_database import PRIMARY, SPARES
from tests.activities.kubernetes.on_cluster import eventually
from tests.crash import harness, worker
from tests.crash.people import decide, when
from tests.crash.proof import ProofScenario
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.point_in_time_restore import GOOD, RestoreScenario
from tests.crash.service_writer import Writer
from tests.workflows.steering import result_of
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.run_status import RunStatus
from workflows.platform.runbook import Runbook


@pytest.mark.timeout(600)
def test_every_row_of_before_the_mark_is_back_and_none_of_after(crash_servers: Servers) -> None:
    case = Case("restore-proof", crash_servers, crash_servers.directory / "restore-proof")
    asyncio.run(_restore(ProofScenario(), case))


async def _restore(scenario: ProofScenario, case: Case) -> None:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with harness.prepared(scenario, client, case) as start:
        database = scenario.database(case)
        with psycopg.connect(database.service_url(PRIMARY)) as damaged:
            before = {row[0] for row in damaged.execute("SELECT id FROM marks")}
            assert before != set(range(1, GOOD + 1)), "rows are destroyed, and there are later ones"
            with pytest.raises(psycopg.errors.DataCorrupted):
                damaged.execute("SELECT * FROM ledger").fetchall()
        process = worker.start(case)
        try:
            async with harness.in_time(client, case):
                handle = await start()
                await scenario.steer(handle)
                result = await result_of(handle)
                status: RunStatus = await handle.query(Runbook.status)
        finally:
            process.kill()
        with psycopg.connect(database.service_url(SPARES[0])) as restored:
            rows = [row[0] for row in restored.execute("SELECT id FROM marks ORDER BY id")]
            ledger = restored.execute("SELECT count(*), min(note), max(note) FROM ledger").fetchone()
        assert rows == list(range(1, GOOD + 1))
        assert ledger == (1000, "x" * 100, "x" * 100)
        assert result["outcome"] == "restored"
        assert result["healthy"]
        assert {"table": "public.ledger", "before": None, "after": 1000} in result["changed"]
        assert "1 damaged (ledger)" in "\n".join(entry.text for entry in status.entries)
        state = await scenario.end_state(case)
        assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)
        assert state.paused == []
        with psycopg.connect(case.servers.records) as records:
            told = records.execute(
                "SELECT subject FROM runbooks.mails WHERE recipient = %s", (f"it@{scenario.name}.example",)
            ).fetchall()
        assert told == [(f"{case.namespace}: your data was restored",)], "the service, where no product is named"


@pytest.mark.timeout(600)
def test_a_second_writer_writes_nothing_between_the_stop_and_the_switch(crash_servers: Servers) -> None:
    """A cron job with the service's role: its pods are not the service's, and it never stops trying."""
    case = Case("restore-second-writer", crash_servers, crash_servers.directory / "restore-second-writer")
    asyncio.run(_second_writer(RestoreScenario(), case))


async def _second_writer(scenario: RestoreScenario, case: Case) -> None:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with harness.prepared(scenario, client, case) as start:
        process = worker.start(case)
        cron = Writer(case.servers.kubeconfig, case.namespace)
        try:
            async with harness.in_time(client, case):
                with cron.writing():
                    await asyncio.to_thread(eventually, lambda: cron.acknowledged)
                    handle = await start()
                    await when(handle, lambda status: status.waiting_for == "decide switch")
                    told_at = datetime.now(UTC)
                    await asyncio.sleep(2)
                    await decide(handle, "switch", "switch")
                    result = await result_of(handle)
                    await asyncio.to_thread(eventually, lambda: cron.since(told_at) > 0)
                status: RunStatus = await handle.query(Runbook.status)
        finally:
            process.kill()
    written = sorted(cron.sent[number] for number in cron.acknowledged)
    written_to = max(at for at in written if at < told_at)
    lost_until = datetime.fromisoformat(result["target_time"]) + TypeAdapter(timedelta).validate_python(result["lost"])
    assert written_to <= lost_until, "all that is lost is told"
    answered_at = next(entry.at for entry in status.entries if "switch: switch" in entry.text)
    opened_at = next(entry.at for entry in status.entries if "open to writers" in entry.text)
    between = [at for at in written if lost_until < at < answered_at]
    assert between == [], "not one row between stop and switch"
    assert max(cron.acknowledged.values()) > opened_at - timedelta(seconds=1), "it goes on, on the restored data"


def test_bad_input_changes_nothing_on_real_servers(crash_servers: Servers) -> None:
    case = Case("restore-refused", crash_servers, crash_servers.directory / "restore-refused")
    asyncio.run(_refused(RestoreScenario(), case))


async def _refused(scenario: RestoreScenario, case: Case) -> None:
    """Ask for a time before the first backup, and for backups that are none or not verified."""
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with harness.prepared(scenario, client, case):
        untouched = (await scenario.end_state(case)).counts
        database = scenario.database(case)
        backup_id = database.barman.run("list-backups", "--minimal", "tensafe").split()[0]
        target = scenario.targets[case.namespace]
        process = worker.start(case)
        try:
            async with harness.in_time(client, case):
                for number, (fields, says) in enumerate(
                    [
                        ({"target_time": "2026-01-01T00:00:00+00:00"}, "before the end of the first backup"),
                        ({"target_time": "2126-01-01T00:00:00+00:00"}, "lies in the future"),
                        ({"target_time": "2026-02-04T12:00:00"}, "with its time zone"),
                        ({"backup_id": "20200101T000000"}, "there is no such backup"),
                        ({"backup_id": backup_id}, "has not been found good"),
                    ]
                ):
                    handle = await client.start_workflow(
                        "PointInTimeRestore",
                        {"target_time": target.isoformat(), **fields},
                        id=f"{case.workflow_id}-{number}",
                        task_queue=case.task_queue,
                    )
                    with pytest.raises(Exception) as failed:  # noqa: PT011
                        await result_of(handle)
                    assert says in str(failed.value.__cause__)
        finally:
            process.kill()
        assert (await scenario.end_state(case)).counts == untouched
