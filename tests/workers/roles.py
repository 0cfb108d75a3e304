"""An installation whose steps have workers by role: in this process, or as processes that can be frozen and killed."""

import asyncio
import dataclasses
import json
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Interceptor

from activities.catalogue.service import Service
from activities.monitoring import workers as looking
from sandbox.processes import ServerProcess
from workers.queues import Role
from workers.settings import RecordsSettings, Settings, TemporalSettings, WorkerSettings
from workers.wiring import wire
from workers.worker import CHECKED, working
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.upkeep.look_for_workers import LookForWorkers
from workflows.upkeep.missing_worker import MissingWorker

SLOTS = 2
PATIENCE = timedelta(seconds=2)
SEPARATE: tuple[Role, ...] = ("kubernetes", "messages", "compliance", "security")
OTHERS: tuple[Role, ...] = ("orchestration", "messages")
_SERVICE = {
    "namespace": "shop",
    "deployment": "shop",
    "selector": "app=shop",
    "health_url": "http://127.0.0.1:1/health",
    "on_call": "shop-nights",
}
let_go = threading.Event()
let_go.set()


class MoveRequest(BaseModel):
    """Nothing."""


class Moves:
    """What needs a credential."""

    @activity.defn(name="test-move")
    def move(self, request: MoveRequest) -> str:
        """Move."""
        del request
        while not let_go.wait(0.1):
            activity.heartbeat()
        return "moved"

    @activity.defn(name="test-guard")
    def guard(self, request: MoveRequest) -> str:
        """Guard."""
        del request
        return "guarded"


@workflow.defn(name="TestMover")
class Mover(Runbook):
    """One step that needs a role."""

    SECTION = "0.0"

    @workflow.run
    async def run(self, request: ServiceRequest) -> str:
        """Do it."""
        await self.begin(request, title="Move", service=request.service, severity="P1")
        return str(await self.step("0.0/1", "Move", Moves.move, MoveRequest(), policies.EFFECT))


@workflow.defn(name="TestBoth")
class Both(Runbook):
    """Two steps side by side that need a role each."""

    SECTION = "0.0"

    @workflow.run
    async def run(self, request: ServiceRequest) -> str:
        """Do both."""
        await self.begin(request, title="Move and guard", service=request.service, severity="P2")
        done = await asyncio.gather(
            self.step("0.0/1", "Move", Moves.move, MoveRequest(), policies.EFFECT),
            self.step("0.0/2", "Guard", Moves.guard, MoveRequest(), policies.EFFECT),
        )
        return ", ".join(map(str, done))


@workflow.defn(name="TestSitter")
class Sitter(Runbook):
    """A run that waits, and ends with the version that it began with."""

    SECTION = "0.0"

    @workflow.run
    async def run(self, request: ServiceRequest) -> str:
        """Wait until it is cancelled."""
        await self.begin(request, title="Sit", service=request.service, severity="P1")
        await workflow.wait_condition(lambda: False)
        return "never"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an installation is."""

    temporal: str
    records: str
    queue: str

    @property
    def settings(self) -> Settings:
        return Settings(
            temporal=TemporalSettings(
                address=self.temporal, task_queue=self.queue, roles=SEPARATE, max_concurrent_activities=SLOTS
            ),
            worker=WorkerSettings(roles=OTHERS, deployment=self.queue),
            records=RecordsSettings(url=SecretStr(self.records)),
            services={"shop": Service(**_SERVICE)},
        )

    @asynccontextmanager
    async def worker(
        self, client: Client, *roles: Role, build_id: str | None = None, interceptors: Sequence[Interceptor] = ()
    ) -> AsyncIterator[list[str]]:
        """Work as some roles, and as a version or without one."""
        settings = self.settings
        how = CHECKED.model_copy(update={"deployment": self.queue if build_id else None, "build_id": build_id})
        with wire(settings) as wired:
            of_activity: dict[str, Role] = {"test-move": "kubernetes", "test-guard": "security"}
            queues = dataclasses.replace(wired.queues, of_activity={**wired.queues.of_activity, **of_activity})
            moves = Moves()
            steps: dict[Role, Any] = {**wired.steps, "kubernetes": [moves.move], "security": [moves.guard]}
            async with working(
                client,
                settings.temporal,
                queues,
                {role: steps[role] for role in roles},
                how=how,
                workflows=[Mover, Both, Sitter, LookForWorkers, MissingWorker],
                interceptors=interceptors,
            ) as taken:
                yield taken

    def process(
        self, folder: Path, *roles: Role, build_id: str | None = None, kill: str | None = None
    ) -> ServerProcess:
        """Give a worker that is a process; it kills itself at `kill`, unless another one has done so."""
        told = ["--kill", kill, "--mark", str(folder / "mark")] if kill else []
        told += ["--build-id", build_id] if build_id else []
        place = json.dumps(dataclasses.asdict(self))
        return ServerProcess(
            name=f"worker-{'-'.join(roles)}",
            directory=folder,
            argv=[sys.executable, "-m", "tests.workers.role_process", place, *roles, *told],
        )


def be_quick() -> None:
    """Let a step that anybody could take count as waiting soon; the times are for workers that are replaced."""
    looking._PATIENCE = PATIENCE
    looking._ASKED_WITHIN = PATIENCE
