"""The archiver's worker as a process that kills itself, as a crash does, where it is told to."""

import asyncio
import functools
import itertools
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from pydantic import SecretStr

import audit.store
from activities.evidence.archive import Archive
from activities.evidence.files import FileStore
from audit.object_lock import ObjectLock
from audit.store import Store
from audit.store_progress import Progress
from workers.archive import archiver, patient_pool
from workers.clients import connect
from workers.settings import AuditSettings, TemporalSettings
from workers.worker import build

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])

PARTS: dict[str, Any] = {
    "Store": Store,
    "Progress": Progress,
    "FileStore": FileStore,
    "ObjectLock": ObjectLock,
    "store": audit.store,
}


@dataclass(frozen=True)
class Instant:
    """Before or after the so-and-so-many-th call of a function."""

    part: str
    function: str
    when: str
    call: int = 1

    def __str__(self) -> str:
        return f"{self.when} call {self.call} of {self.part}.{self.function}"


@dataclass(frozen=True)
class Worker:
    temporal: TemporalSettings
    audit: AuditSettings
    records_url: str
    heads: Path

    def start(self, instant: Instant | None = None) -> ForkServerProcess:
        process = FORKS.Process(target=_work, args=(dict(os.environ), self, instant), daemon=True)
        process.start()
        return process


def _work(environment: dict[str, str], worker: Worker, instant: Instant | None) -> None:
    os.environ.update(environment)
    if instant is not None:
        arm(instant)
    asyncio.run(_serve(worker))


def arm(instant: Instant) -> None:
    """Let this process die there."""
    owner, calls = PARTS[instant.part], itertools.count(1)
    function = getattr(owner, instant.function)

    @functools.wraps(function)
    def dying(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == instant.call
        if mine and instant.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*args, **kwargs)
        if mine and instant.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, instant.function, dying)


async def _serve(worker: Worker) -> None:
    client = await connect(worker.temporal)
    with patient_pool(SecretStr(worker.records_url)) as pool:
        made = archiver(worker.audit, pool, FileStore(worker.heads))
        await build(client, worker.temporal, [Archive(made).window]).run()
