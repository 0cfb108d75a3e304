"""`python -m bench.upgrade [--each N] [--write PAGE]`: two versions of the workers, and runs open in all phases.

Real servers, the product's own workers as processes, Worker Versioning. While people's remarks reach random runs, a
next release (`next_worker`) is ramped, made current, taken back, and made current again. Then every history is read: no
run may have failed, none may have had a task that failed, and each must have closed as it was told to.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.progress import Progress
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError

from bench import pages
from bench.harness import progress_bar
from bench.next_worker import CHANGE
from bench.production import Production, Service
from bench.servers import Servers
from sandbox import manifests
from sandbox.ports import LOOPBACK
from starters.steering import deployments
from starters.steering.errors import NoSuchRun
from starters.steering.session import Session
from workers.converter import DATA_CONVERTER
from workers.settings import Settings, TemporalSettings, WorkerSettings
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboarding, EnterpriseOnboardingRequest
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.maintenance.maintenance_window import MaintenanceWindow, MaintenanceWindowRequest
from workflows.platform.lease import Resume
from workflows.platform.run_status import Note, RunStatus
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest

if TYPE_CHECKING:
    from sandbox.processes import ServerProcess

_Handle = WorkflowHandle[Any, Any]
_SERVICE = "tensafe-server"
_PHASES: dict[str, tuple[str, Callable[[RunStatus], bool]]] = {
    "lease": ("emergency scale-up, autoscaler paused", lambda status: bool(status.leases)),
    "onboarding": ("onboarding, checklist open", lambda status: "[x] Send welcome email" in status.board),
    "grace": ("key rotation, in the old key's grace", lambda status: status.phase == "Grace period"),
    "window": ("maintenance window, waiting for its time", lambda status: status.phase == "Scheduled"),
    "question": ("P1 incident, a question open", lambda status: bool(status.questions)),
}
_OLD, _NEW = "v1", "v2"
_IN_FLIGHT = 8
_STUCK_AFTER = 900.0
"""Seconds for one run or worker to come on: on a machine that is busy with other things too."""
_REMARKS_EVERY = 0.1
_SERVICES_A_NODE = 2
"""Of sixteen pods that a node has room for, as many as two services have once they are scaled up, and some to spare."""
_BAD = {EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED}


@dataclass
class _Load:
    """People's remarks, one after another, to whichever run."""

    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class _Upgrade:
    def __init__(self, servers: Servers, each: int, progress: Progress) -> None:
        self._servers, self._each, self._progress = servers, each, progress
        self._runs: dict[str, list[_Handle]] = {kind: [] for kind in _PHASES}
        self._lines: list[tuple[str, str]] = []
        self._workers: dict[str, ServerProcess] = {}
        self._production: Production
        self._session: Session
        self._client: Client

    async def measure(self) -> list[tuple[str, str]]:
        await self._prepare()
        await self._start_worker(_OLD, "workers")
        await deployments.make_current(self._session, _OLD, "bench")
        began = time.monotonic()
        await self._open()
        runs = [run for of_kind in self._runs.values() for run in of_kind]
        self._say("open, in five phases", f"{len(runs)} runs, opened in {time.monotonic() - began:.0f} s")
        async with self._load(runs) as load:
            await self._start_worker(_NEW, "bench.next_worker")
            await deployments.ramp(self._session, _NEW, 25, "bench")
            await self._remark(runs)
            self._say(f"{_NEW} ramped to 25 of 100", await self._where(runs))
            await deployments.make_current(self._session, _NEW, "bench")
            self._say(f"{_NEW} made current", await self._moved(runs, _NEW))
            await deployments.make_current(self._session, _OLD, "bench")
            self._say(f"back to {_OLD}", await self._moved(runs, _OLD))
            await deployments.make_current(self._session, _NEW, "bench")
            self._say(f"{_NEW} made current again", await self._moved(runs, _NEW))
        pinned = [*self._runs["lease"], *self._runs["question"]]
        staying = Counter([await self._build(run) for run in pinned])
        assert staying == {_OLD: len(pinned)}, f"short runs have moved: {staying}"
        await self._each_of(
            "giving leases back", self._runs["lease"], lambda run: run.execute_update("resume", Resume(**_WHO))
        )
        await self._each_of("cancelling what asks", self._runs["question"], lambda run: run.cancel())
        await self._ended(pinned)
        self._say(f"short runs, ended by {_OLD}", f"{len(pinned)}; open runs of {_OLD} then: {await self._left(_OLD)}")
        self._workers.pop(_OLD).stop()
        moved = [run for kind in ("onboarding", "grace", "window") for run in self._runs[kind]]
        await self._remark(moved)
        await self._each_of("cancelling the long ones", moved, lambda run: run.cancel())
        await self._ended(moved)
        again = await self._one_more()
        self._say(f"long runs, ended by {_NEW} alone", f"{len(moved)}; one more started, and ended by {_NEW}")
        self._say("remarks to open runs meanwhile", _told(load))
        self._say("failed runs, failed tasks", await self._read([*runs, again]))
        return self._lines

    async def _prepare(self) -> None:
        servers = self._servers
        numbers = range(1, self._each + 1)
        await asyncio.to_thread(manifests.apply_more_nodes, servers.kubeconfig, self._each // _SERVICES_A_NODE)
        _, health = await asyncio.to_thread(servers.service, "upgrade-service", "upgrade-000")
        for number in self._progress.track(numbers, description="putting services into the cluster"):
            await asyncio.to_thread(
                manifests.apply_service_plainly, servers.kubeconfig, f"upgrade-{number:03}", timeout=_STUCK_AFTER
            )
        self._production = Production(
            servers,
            "upgrade",
            services(self._each, health),
            kubeconfig=servers.kubeconfig,
            sections={
                "worker": {"deployment": "bench-upgrade"},
                "handover": {"secret": "of the bench alone", "base_url": "http://bench.example"},
            },
        )
        self._client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
        self._session = Session(
            Settings(
                temporal=TemporalSettings(task_queue=self._production.task_queue),
                worker=WorkerSettings(deployment="bench-upgrade"),
            ),
            self._client,
        )

    async def _start_worker(self, build_id: str, module: str) -> None:
        environment = {"RUNBOOKS_WORKER__BUILD_ID": build_id}
        self._workers[build_id] = await asyncio.to_thread(
            self._production.start_worker, module, f"worker-{build_id}", environment
        )
        await _until(lambda: self._has_worker(build_id))

    async def _has_worker(self, build_id: str) -> bool:
        try:
            found = await deployments.look(self._session)
        except NoSuchRun:
            return False
        return any(one.build_id == build_id and one.workers for one in found.versions)

    # -- opening -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        numbers = range(1, self._each + 1)
        soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        await self._begin("onboarding", EnterpriseOnboarding, [_onboarding(number) for number in numbers])
        with psycopg.connect(self._servers.records) as records:
            tenants = [str(row[0]) for row in records.execute("SELECT tenant_id FROM runbooks.tenants ORDER BY 1")]
        keys = [
            ApiKeyRotationRequest(service=_SERVICE, tenant_id=tenant, grace=timedelta(days=1)) for tenant in tenants
        ]
        await self._begin("grace", ApiKeyRotation, keys)
        windows = [
            MaintenanceWindowRequest(
                service=f"scaled-{number:03}",
                title="Upgrade",
                starts_at=soon,
                ends_at=soon + timedelta(hours=1),
                tenants=[],
            )
            for number in numbers
        ]
        await self._begin("window", MaintenanceWindow, windows)
        scaled = [
            EmergencyScaleUpRequest(service=f"scaled-{number:03}", lease=timedelta(hours=1)) for number in numbers
        ]
        await self._begin("lease", EmergencyScaleUp, scaled)
        await self._begin("question", P1Incident, [P1Request(service=f"down-{number:03}") for number in numbers])

    async def _begin(self, kind: str, workflow: type, requests: Iterable[Any]) -> None:
        room, (what, reached), wanted = asyncio.Semaphore(_IN_FLIGHT), _PHASES[kind], list(requests)
        bar = self._progress.add_task(f"opening: {what}", total=len(wanted))

        async def begin(number: int, request: Any) -> None:
            async with room:
                # A service's incident has the ID that its alerts join.
                name = f"p1-incident/{request.service}" if kind == "question" else f"upgrade-{kind}-{number:03}"
                run = await self._client.start_workflow(
                    workflow.__name__, request, id=name, task_queue=self._production.task_queue
                )
                self._runs[kind].append(run)
                await _until(lambda: _is(run, reached))
                self._progress.advance(bar)

        await asyncio.gather(*(begin(number, request) for number, request in enumerate(wanted, 1)))

    # -- looking -----------------------------------------------------------------------------------------

    async def _moved(self, runs: list[_Handle], build_id: str) -> str:
        """Let each run have a task, and say which version had it."""
        began = time.monotonic()
        long = [run for kind in ("onboarding", "grace", "window") for run in self._runs[kind]]

        async def moved() -> bool:
            await self._remark(runs)
            return Counter([await self._build(run) for run in long]) == {build_id: len(long)}

        await _until(moved)
        return f"{await self._where(runs)}, after {time.monotonic() - began:.0f} s"

    async def _where(self, runs: list[_Handle]) -> str:
        found = Counter([await self._build(run) for run in runs])
        return ", ".join(f"{found[one]} on {one}" for one in sorted(found))

    async def _build(self, run: _Handle) -> str:
        described = await run.describe()
        assert described.status is WorkflowExecutionStatus.RUNNING, f"{run.id} is {described.status}"
        info = described.raw_description.workflow_execution_info.versioning_info
        return str(info.deployment_version.build_id)

    async def _left(self, build_id: str) -> int:
        found = await deployments.look(self._session)
        return sum(one.open_runs for one in found.versions if one.build_id == build_id)

    @asynccontextmanager
    async def _load(self, runs: list[_Handle]) -> AsyncIterator[_Load]:
        load, chance = _Load(), random.Random(7)

        async def speak() -> None:
            while True:
                run, began = chance.choice(runs), time.monotonic()
                try:
                    await run.execute_update("note", Note(text="still there?", **_WHO))
                    load.seconds.append(time.monotonic() - began)
                except WorkflowUpdateFailedError as error:
                    load.refused.append(f"{run.id}: {error.cause}")
                await asyncio.sleep(_REMARKS_EVERY)

        speaking = asyncio.create_task(speak())
        try:
            yield load
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _remark(self, runs: list[_Handle]) -> None:
        await self._each_of(
            "a remark to each", runs, lambda run: run.execute_update("note", Note(text="upgraded?", **_WHO))
        )

    async def _each_of(self, what: str, runs: list[_Handle], do: Callable[[_Handle], Awaitable[Any]]) -> None:
        room, bar = asyncio.Semaphore(_IN_FLIGHT), self._progress.add_task(what, total=len(runs))

        async def one(run: _Handle) -> None:
            async with room, asyncio.timeout(_STUCK_AFTER):
                await do(run)
                self._progress.advance(bar)

        await asyncio.gather(*(one(run) for run in runs))
        self._progress.remove_task(bar)

    # -- ending ------------------------------------------------------------------------------------------

    async def _ended(self, runs: list[_Handle]) -> None:
        await self._each_of("waiting for their end", runs, lambda run: _until(lambda: _closed(run)))

    async def _one_more(self) -> _Handle:
        """Start a run after the old version is gone, and end it: its history has the change of the new one."""
        request = EmergencyScaleUpRequest(service="scaled-001", lease=timedelta(seconds=2))
        run = await self._client.start_workflow(
            EmergencyScaleUp.run, request, id="upgrade-afterwards", task_queue=self._production.task_queue
        )
        await run.result()
        return run

    async def _read(self, runs: list[_Handle]) -> str:
        """Read every history, and refuse what should not be in one."""
        states, bad, changed = Counter[str](), Counter[str](), 0
        for run in runs:
            status = (await run.describe()).status
            assert status is not None
            states[status.name.lower()] += 1
            marked = False
            async for event in run.fetch_history_events():
                if event.event_type in _BAD:
                    bad[f"{run.id}: {EventType.Name(event.event_type)}"] += 1
                marked = marked or CHANGE in str(event.upsert_workflow_search_attributes_event_attributes)
            changed += marked
        reported = (await self._client.count_workflows("TemporalReportedProblems IS NOT NULL")).count
        assert not bad, bad
        assert not reported, f"{reported} runs with reported problems"
        assert changed, "no run has gone through what is new"
        told = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
        return f"0 of {len(runs)}: {told}; {changed} went through the new release's change"

    def _say(self, what: str, found: str) -> None:
        self._lines.append((what, found))
        self._progress.console.print(f"{what}: {found}", markup=False, soft_wrap=True)


def services(each: int, health: str) -> dict[str, Service]:
    """Name the services that runs are opened for: the customers', and as many as there are runs in a phase."""
    numbers = range(1, each + 1)
    return {
        _SERVICE: Service("upgrade-000", health),
        **{f"scaled-{number:03}": Service(f"upgrade-{number:03}", health) for number in numbers},
        # What can be asked of these answers nothing good, so people are asked.
        **{f"down-{number:03}": Service(f"down-{number:03}", f"http://{LOOPBACK}:1/health") for number in numbers},
    }


_WHO = {"who": "bench@example.org", "role": "on-call"}


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + _STUCK_AFTER
    while not await reached():
        if time.monotonic() > deadline:
            raise RuntimeError("a run or a worker does not come on: see the workers' logs (--keep)")
        await asyncio.sleep(0.3)


async def _is(run: _Handle, reached: Callable[[RunStatus], bool]) -> bool:
    return reached(await run.query("status", result_type=RunStatus))


async def _closed(run: _Handle) -> bool:
    return (await run.describe()).status is not WorkflowExecutionStatus.RUNNING


def _onboarding(number: int) -> EnterpriseOnboardingRequest:
    return EnterpriseOnboardingRequest(
        service=_SERVICE,
        name=f"Customer {number:03}",
        contact_name="Their administrator",
        email=f"it-{number:03}@customers.example",
    )


def _told(load: _Load) -> str:
    assert not load.refused, load.refused[:3]
    ms = sorted(1000 * seconds for seconds in load.seconds)
    return f"{len(ms)}, none refused or lost; median {statistics.median(ms):.0f} ms, longest {ms[-1]:.0f} ms"


def main() -> int:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.upgrade", description=__doc__)
    parser.add_argument("--each", type=int, default=40, help="runs in each of the five phases")
    parser.add_argument("--write", type=Path, help="a page with the marks for the table")
    parser.add_argument("--keep", type=Path, help="a directory for the servers' files and logs")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-upgrade-") as temporary,
        Servers(given.keep or Path(temporary)) as servers,
        progress_bar(Console(stderr=True)) as progress,
    ):
        found = pages.table(("", ""), asyncio.run(_Upgrade(servers, given.each, progress).measure()))
    sys.stdout.write(f"{found}\n")
    if given.write:
        pages.put(given.write, "bench.upgrade", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
