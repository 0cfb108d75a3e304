"""A role loses its workers on a real Temporal: the runs that need it say so, and people are paged once."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowHandle
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

import records_schema
from activities.messages.paging.pagerduty import is_ours
from activities.monitoring import versions
from activities.monitoring import workers as looking
from sandbox import probes
from sandbox.ports import free_port
from sandbox.processes import ServerProcess
from sandbox.prometheus import Prometheus
from starters.steering import deployments
from starters.steering.errors import NoSuchRun
from starters.steering.session import Session
from tests.plugins.patience import HANGS
from tests.workers.role_process import STARTED
from tests.workers.roles import OTHERS, PATIENCE, SLOTS, Place, let_go
from workers.clients import connect, register_search_attributes
from workers.queues import Role
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import RunStatus
from workflows.upkeep.look_for_workers import LookForWorkers, LookRequest, LookResult
from workflows.upkeep.missing_worker import MissingWorker

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
LOOK = LookRequest(every=timedelta(seconds=1))


@dataclass
class Installation:
    """An installation whose cluster steps have workers of their own, and what is known of it."""

    place: Place
    client: Client
    metrics: str
    folder: Path

    def worker(self, *roles: Role, build_id: str | None = None) -> AbstractAsyncContextManager[Sequence[str]]:
        return self.place.worker(self.client, *roles, build_id=build_id)

    @asynccontextmanager
    async def process(
        self, *roles: Role, build_id: str | None = None, kill: str | None = None
    ) -> AsyncIterator[ServerProcess]:
        """Give a worker that is a process of its own, until the context ends."""
        folder = self.folder / "-".join(("process", *roles, "dying" if kill else ""))
        found = self.place.process(folder, *roles, build_id=build_id, kill=kill)
        await asyncio.to_thread(found.start)
        try:
            await asyncio.to_thread(found.wait_ready, probes.log_line(found.log, STARTED))
            yield found
        finally:
            await asyncio.to_thread(found.stop)

    async def start(self, name: str, procedure: str = "TestMover") -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(
            procedure, ServiceRequest(service="shop"), id=f"{self.place.queue}/{name}", task_queue=self.place.queue
        )

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look again and again meanwhile; a look may go down with who is killed."""

        async def looks() -> None:
            while True:
                await self.look()
                await asyncio.sleep(0.5)

        task = asyncio.create_task(looks())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> LookResult:
        return await self.client.execute_workflow(
            LookForWorkers.run, LOOK, id=f"{self.place.queue}/look-{uuid4()}", task_queue=self.place.queue
        )

    def episode(self, role: Role | str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle_for(MissingWorker.run, f"missing-worker/{self.place.queue}-{role}")

    async def pending(self, run: WorkflowHandle[Any, Any]) -> str:
        (step,) = (await run.describe()).raw_description.pending_activities
        return PendingActivityState.Name(step.state).removeprefix("PENDING_ACTIVITY_STATE_")

    async def numbers(self) -> Counter[str]:
        """Give what Prometheus would read of ours."""
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{self.metrics}/metrics")).text
        sums: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("runbooks_"):
                label = re.search('(?:role|build_id)="([^"]*)"', line)
                sums[f"{line.partition('{')[0]} {label[1] if label else ''}".strip()] += int(line.rpartition(" ")[2])
        return sums

    def pages(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.place.records, row_factory=dict_row) as connection:
            return connection.execute("SELECT * FROM runbooks.pages ORDER BY id").fetchall()


@pytest.fixture
async def place(
    temporal_address: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Installation:
    # A step that anybody could take is taken at once; the times are for workers that are replaced.
    monkeypatch.setattr(looking, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(looking, "_ASKED_WITHIN", PATIENCE)
    records_schema.migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("TRUNCATE runbooks.pages")
    let_go.set()
    metrics = f"127.0.0.1:{free_port()}"
    place = Place(temporal=temporal_address, records=postgres_url, queue=f"missing-{uuid4().hex[:6]}")
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics)))
    client = await connect(place.settings.temporal, runtime=runtime)
    await register_search_attributes(client)
    return Installation(place, client, metrics, tmp_path)


async def until(found: Callable[[], Awaitable[bool]], seconds: float = HANGS) -> None:
    deadline = time.monotonic() + seconds
    while not await found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.25)


async def lacks(run: WorkflowHandle[Any, Any]) -> bool:
    return bool((await status(run)).lacks)


async def status(run: WorkflowHandle[Any, Any]) -> RunStatus:
    found: RunStatus = await run.query("status", result_type=RunStatus)
    return found


def rule(name: str) -> dict[str, Any]:
    """Give the rule that an operator has, without its patience."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    (found,) = [rule for group in groups for rule in group["rules"] if rule["alert"] == name]
    return {**found, "for": "0s"}


async def firing(prometheus: Prometheus) -> list[str]:
    """Give of what the alerts that fire speak."""
    async with httpx.AsyncClient() as http:
        alerts = (await http.get(f"{prometheus.url}/api/v1/alerts")).json()["data"]["alerts"]
    labels = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
    return [one.get("role") or one["build_id"] for one in labels]


async def fires(prometheus: Prometheus, what: str) -> bool:
    return await firing(prometheus) == [what]


async def test_two_runs_that_wait_for_one_role_say_so_and_page_once(
    place: Installation, start_prometheus: Callable[..., Prometheus]
) -> None:
    prometheus = await asyncio.to_thread(
        start_prometheus, targets={"worker": place.metrics}, rules=[rule("NoWorkerOfRole")]
    )
    async with place.worker(*OTHERS):
        async with place.worker("kubernetes"):
            assert await (await place.start("before")).result() == "moved"
        first, second = await place.start("first"), await place.start("second")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        found = [*await asyncio.gather(place.look(), place.look())]

        async def known() -> bool:
            return len(place.pages()) == 1 and await lacks(first) and await lacks(second)

        await until(known)
        (page,) = place.pages()
        told = await status(first)
        await until(lambda: fires(prometheus, "kubernetes"))
        found += [await place.look() for _ in range(2)]
        async with place.worker("kubernetes"):
            assert [await run.result() for run in (first, second)] == ["moved", "moved"]
            ended = await place.episode("kubernetes").result()
        after, again = await place.look(), await status(first)
        numbers = await place.numbers()

    assert all(line.startswith("no worker of role kubernetes: 2 runs wait") for look in found for line in look.missing)
    assert [len(look.missing) for look in found] == [1] * 4
    assert (page["rotation"], page["severity"], page["service"]) == ("shop-nights", "P1", "shop")
    assert page["summary"].startswith("No worker of role kubernetes: 2 runs wait")
    assert is_ours(f"{page['incident_id']}/L1")
    assert told.lacks[0].startswith("kubernetes: test-move waits since")
    assert told.waiting_for == ""
    assert [page["resolved_at"] is not None for page in place.pages()] == [True]
    assert "2 runs told" in ended
    assert after.missing == []
    assert again.lacks == []
    assert [entry.text for entry in again.entries if entry.kind == "signal"][1:] == [
        "A worker of role kubernetes is there again"
    ]
    assert numbers["runbooks_worker_missing kubernetes"] >= len(found)
    assert numbers["runbooks_worker_missing messages"] == 0
    assert "runbooks_worker_missing messages" in numbers
    assert numbers["runbooks_worker_looks"] > len(found)


async def test_where_nobody_can_page_the_runs_are_told_all_the_same(place: Installation) -> None:
    async with place.worker("orchestration"):
        run = await place.start("alone")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        await place.look()
        await until(lambda: lacks(run))
        await run.cancel()
        ended = await place.episode("kubernetes").result()

    assert ended.endswith("1 run told; nobody could be paged")
    assert place.pages() == []


async def test_a_worker_whose_slots_are_all_taken_is_there(place: Installation) -> None:
    let_go.clear()
    async with place.worker(*OTHERS), place.worker("kubernetes"):
        runs = [await place.start(f"{number}") for number in range(SLOTS + 1)]
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        pending = [await place.pending(run) for run in runs]
        found = await place.look()
        let_go.set()
        assert [await run.result() for run in runs] == ["moved"] * len(runs)

    assert sorted(pending) == ["SCHEDULED", *["STARTED"] * SLOTS]
    assert found.missing == []


def names(found: LookResult) -> list[str]:
    return [re.sub(r"^no worker of (\w+ [\w-]+(?: of version [\w-]+)?).*", r"\1", line) for line in found.missing]


async def lacking(run: WorkflowHandle[Any, Any]) -> set[str]:
    return {line.partition(":")[0] for line in (await status(run)).lacks}


async def test_of_two_roles_that_are_missing_each_pages_and_comes_back_by_itself(place: Installation) -> None:
    async with place.worker(*OTHERS):
        moves, both = await place.start("moves"), await place.start("both", "TestBoth")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        found = await place.look()

        async def known() -> bool:
            paged = len(place.pages()) == 2
            return paged and await lacking(both) == {"kubernetes", "security"} and await lacks(moves)

        await until(known)
        pages = place.pages()
        async with place.worker("kubernetes"):
            assert await moves.result() == "moved"
            first = await place.episode("kubernetes").result()
            between, still = place.pages(), await lacking(both)
            async with place.worker("security"):
                assert await both.result() == "moved, guarded"
                second = await place.episode("security").result()
        last = await place.look()

    assert names(found) == ["role kubernetes", "role security"]
    assert {page["summary"].partition(":")[0] for page in pages} == {
        "No worker of role kubernetes",
        "No worker of role security",
    }
    assert {page["severity"] for page in pages} == {"P1", "P2"}
    assert first.endswith("2 runs told")
    assert still == {"security"}
    resolved = {page["summary"].partition(":")[0]: page["resolved_at"] is not None for page in between}
    assert resolved == {"No worker of role kubernetes": True, "No worker of role security": False}
    assert second.endswith("1 run told")
    assert all(page["resolved_at"] for page in place.pages())
    assert last.missing == []


async def test_a_worker_that_is_frozen_is_none_until_it_goes_on(place: Installation) -> None:
    async with place.worker(*OTHERS), place.process("kubernetes") as frozen:
        assert await (await place.start("before")).result() == "moved"
        assert frozen.pid is not None
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            # It is given the step as often as it has asked for one, and each time is found dead.
            run = await place.start("frozen")

            async def told() -> bool:
                await place.look()
                return await lacks(run)

            await until(told, 150)
            (page,) = place.pages()
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        assert await run.result() == "moved"
        ended = await place.episode("kubernetes").result()

    assert page["resolved_at"] is None
    assert "1 run told" in ended
    assert [page["resolved_at"] is not None for page in place.pages()] == [True]


@pytest.mark.parametrize("step", ["workers.tell", "page", "resolve"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_whoever_looks_after_a_role_may_be_killed(place: Installation, step: str, when: str) -> None:
    async with place.process(*OTHERS, kill=f"MissingWorker/{step}:{when}") as dying:
        run = await place.start("waits")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)

        async def dead() -> bool:
            return dying.exit_code is not None

        async def known() -> bool:
            return len(place.pages()) == 1 and await lacks(run)

        # A page is withdrawn once the role is back; until then whoever looks after it lives.
        async with place.looking():
            await until(known if step == "resolve" else dead)
        if step == "resolve":
            async with place.worker("kubernetes"):
                assert await run.result() == "moved"
                await until(dead)
        async with place.process(*OTHERS):
            if step != "resolve":
                await until(known)
                async with place.worker("kubernetes"):
                    assert await run.result() == "moved"
            ended = await place.episode("kubernetes").result()
        assert dying.exit_code == -signal.SIGKILL

    assert ended.endswith("1 run told")
    (page,) = place.pages()
    assert page["resolved_at"] is not None


async def test_a_version_that_open_runs_end_with_and_that_has_no_worker_pages(
    place: Installation, start_prometheus: Callable[..., Prometheus]
) -> None:
    prometheus = await asyncio.to_thread(
        start_prometheus, targets={"worker": place.metrics}, rules=[rule("NoWorkerOfVersion")]
    )
    session = Session(place.place.settings, place.client)
    there = partial(current, session)
    async with place.worker(*OTHERS, build_id="v1"):
        await until(lambda: started(session))
        await there("v1")
        sits, other = await place.start("sits", "TestSitter"), await place.start("other", "TestSitter")
        await until(lambda: begun(sits))
        await until(lambda: begun(other))
        calm = await place.look()
        async with place.worker(*OTHERS, build_id="v2"):
            await there("v2")
            assert (await place.look()).missing == []
    async with place.worker(*OTHERS, build_id="v2"):

        async def missed() -> bool:
            return names(await place.look()) == ["version v1"]

        await until(missed)

        async def paged() -> bool:
            return len(place.pages()) == 1

        await until(paged)
        (page,) = place.pages()
        await until(lambda: fires(prometheus, "v1"))
        numbers = await place.numbers()
        for run in (sits, other):
            await run.cancel()
        async with place.worker(*OTHERS, build_id="v1"):
            ended = await place.episode("version-v1").result()
        last = await place.look()

    assert calm.missing == []
    assert (page["rotation"], page["severity"]) == ("shop-nights", "P1")
    assert re.match(
        r"No worker of version v1 since \S+ UTC, and open runs end with it: `\S+` and 1 more$", page["summary"]
    )
    assert numbers["runbooks_version_missing v1"] > 0
    assert numbers["runbooks_version_missing v2"] == 0
    assert re.match(r"no run waits for version v1 any more, after [^:;]+$", ended)
    assert [page["resolved_at"] is not None for page in place.pages()] == [True]
    assert last.missing == []


async def current(session: Session, build_id: str) -> None:
    """Have new runs begin with a version, once it has workers."""

    async def seen() -> bool:
        found = await deployments.look(session)
        return any(one.build_id == build_id and one.workers for one in found.versions)

    async def taken() -> bool:
        try:
            await deployments.make_current(session, build_id, "ada")
        except RPCError:  # not all of its workers have asked for work yet
            return False
        return True

    await until(seen)
    await until(taken)


async def test_a_role_of_one_version_without_a_worker_pages_though_another_version_s_ask_its_queue(
    place: Installation,
) -> None:
    session = Session(place.place.settings, place.client)
    async with place.worker(*OTHERS, build_id="v1"):
        async with place.worker("kubernetes", build_id="v1"):
            await until(lambda: started(session))
            await current(session, "v1")
            assert await (await place.start("before")).result() == "moved"
        async with place.worker(*OTHERS, "kubernetes", build_id="v2"):
            # Temporal tells of who asks as its partitions learn of it: until then nobody is seen to have the role.
            await until(lambda: heard(place, "v2", "kubernetes"), 120)
            run = await place.start("waits")
            await until(lambda: begun(run))
            await current(session, "v2")
            assert await (await place.start("after")).result() == "moved", "the new version has all it needs"

            async def missed() -> bool:
                return names(await place.look()) == ["role kubernetes of version v1"]

            await until(missed)
            await until(lambda: lacks(run))

            async def paged() -> bool:
                return len(place.pages()) == 1

            await until(paged)
            (page,) = place.pages()
            told = await status(run)
            async with place.worker("kubernetes", build_id="v1"):
                assert await run.result() == "moved"
                ended = await place.episode("kubernetes-version-v1").result()
            last = await place.look()

    assert page["summary"].startswith("No worker of role kubernetes of version v1: 1 run waits")
    assert told.lacks[0].startswith("kubernetes: test-move waits since")
    assert re.match(r"no run waits for role kubernetes of version v1 any more, after [^:]+: 1 run told$", ended)
    assert [page["resolved_at"] is not None for page in place.pages()] == [True]
    assert last.missing == []


async def test_whoever_pages_for_a_role_of_one_version_may_be_killed(place: Installation) -> None:
    session = Session(place.place.settings, place.client)
    new: tuple[Role, ...] = (*OTHERS, "kubernetes")
    async with place.worker(*OTHERS, build_id="v1"):
        async with place.worker("kubernetes", build_id="v1"):
            await until(lambda: started(session))
            await current(session, "v1")
            assert await (await place.start("before")).result() == "moved"
        run = await place.start("waits")
        await until(lambda: begun(run))
        async with place.process(*new, build_id="v2", kill="MissingWorker/page:after") as dying:
            await until(lambda: heard(place, "v2", "kubernetes"))
            # What looks after the role is begun with the new version, and so is what asks for it here.
            await current(session, "v2")

            async def dead() -> bool:
                return dying.exit_code is not None

            def pages() -> list[dict[str, Any]]:
                """Leave out what a look says while Temporal forgets for a moment that the new version has the role."""
                return [page for page in place.pages() if "of version v1" in page["summary"]]

            async def known() -> bool:
                return len(pages()) == 1 and await lacks(run)

            async with place.looking():
                await until(dead)
                assert dying.exit_code == -signal.SIGKILL
                async with place.process(*new, build_id="v2"):
                    await until(known)
                    async with place.worker("kubernetes", build_id="v1"):
                        assert await run.result() == "moved"
                    ended = await place.episode("kubernetes-version-v1").result()

    assert ended.endswith(": 1 run told")
    (page,) = pages()
    assert page["summary"].startswith("No worker of role kubernetes of version v1: 1 run waits")
    assert page["resolved_at"] is not None


async def heard(place: Installation, build_id: str, role: Role) -> bool:
    """Tell whether the server knows of a version's worker for a role."""
    queue = f"{place.place.queue}-{role}"
    seen = await versions.workers(place.client, place.place.queue, queue, of_steps=True)
    return build_id in seen and seen[build_id].workers > 0


async def started(session: Session) -> bool:
    try:
        return bool((await deployments.look(session)).versions)
    except NoSuchRun:
        return False


async def begun(run: WorkflowHandle[Any, Any]) -> bool:
    return bool((await status(run)).title)
