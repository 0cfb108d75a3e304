"""A Temporal namespace of a test's own, with closed runs in it, and the archiver on it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from psycopg_pool import ConnectionPool
from temporalio import workflow
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.evidence.archive import Archive, Archiver
from activities.evidence.files import FileStore
from audit.chain import Verifier
from audit.object_lock import ObjectLock
from audit.payloads import DecodeOne
from audit.records import Head, Verdict
from audit.signer import FileSigner
from audit.store import Store
from audit.store_progress import Progress
from workers.converter import DATA_CONVERTER
from workflows.audit.archive_runs import ArchiveRequest, ArchiveResult, ArchiveRuns

QUEUE = "archive"
_NOTES = "notes"


@workflow.defn(name="Note")
class Note:
    """A run that says something, and may start a child, continue as new, fail."""

    @workflow.run
    async def run(self, words: dict[str, object]) -> str:
        if child := words.get("child"):
            await workflow.execute_child_workflow(
                "Note", {"text": str(child)}, id=f"{workflow.info().workflow_id}-child"
            )
        if again := words.get("again"):
            workflow.continue_as_new({"text": str(again)})
        if words.get("fail"):
            raise ApplicationError("as it was told to")
        return str(words.get("text", ""))


@dataclass
class Place:
    """What a test of the archive has."""

    client: Client
    pool: ConnectionPool[Any]
    signer: FileSigner
    folder: Path
    copies: ObjectLock | None = None
    codec: DecodeOne | None = None
    settle: timedelta = timedelta(0)
    earlier: tuple[bytes, ...] = ()
    """Keys that signed before."""

    @property
    def store(self) -> Store:
        return Store(self.pool, self.signer, self.codec)

    @property
    def progress(self) -> Progress:
        return Progress(self.pool)

    @property
    def heads(self) -> list[Head]:
        files = sorted((self.folder / "audit" / "heads").glob("0*.json"))
        return [Head.model_validate_json(file.read_bytes()) for file in files]

    def archiver(self) -> Archiver:
        return Archiver(
            store=Store(self.pool, self.signer),
            progress=self.progress,
            heads=FileStore(self.folder),
            public_keys=lambda: [*self.earlier, self.signer.public_key],
            codec=self.codec,
            copies=self.copies,
            settle=self.settle,
        )

    async def runs(self, requests: Sequence[dict[str, object]], *, prefix: str = "note") -> None:
        """Have runs, and wait until each has closed and is listed."""
        async with Worker(
            self.client,
            task_queue=_NOTES,
            workflows=[Note],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=0,
        ):
            limit = asyncio.Semaphore(20)

            async def run(number: int, words: dict[str, object]) -> None:
                async with limit:
                    handle = await self.client.start_workflow(
                        Note.run, words, id=f"{prefix}-{number}", task_queue=_NOTES
                    )
                    try:
                        await handle.result()
                    except WorkflowFailureError:
                        assert words.get("fail")

            await asyncio.gather(*(run(number, words) for number, words in enumerate(requests)))
        expected = len(requests) + sum(bool(w.get("child")) + bool(w.get("again")) for w in requests)
        query = f"ExecutionStatus != 'Running' AND WorkflowId STARTS_WITH '{prefix}-'"
        while (await self.client.count_workflows(query)).count < expected:
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def worker(self, archiver: Archiver | None = None, *, off: bool = False) -> AsyncIterator[Worker]:
        async with Worker(
            self.client,
            task_queue=QUEUE,
            workflows=[ArchiveRuns],
            workflow_runner=UnsandboxedWorkflowRunner(),
            activities=[Archive(None if off else archiver or self.archiver()).window],
        ) as worker:
            yield worker

    async def start(self) -> ArchiveResult:
        return await self.client.execute_workflow(
            ArchiveRuns.run, ArchiveRequest(), id=f"archive-{uuid.uuid4()}", task_queue=QUEUE
        )

    async def archive(self) -> ArchiveResult:
        async with self.worker():
            return await self.start()

    async def closed(self) -> set[str]:
        query = "ExecutionStatus != 'Running' AND WorkflowType = 'Note'"
        return {run.run_id async for run in self.client.list_workflows(query)}

    def archived(self) -> list[str]:
        return [record.header.run_id for record in self.store.records() if record.header.kind == "run"]

    def verify(self) -> Verdict:
        verifier = Verifier([self.signer.public_key], [*self.store.heads(), *self.heads])
        for record in self.store.records():
            verifier.feed(record)
        return verifier.end()


async def new_namespace(address: str) -> Client:
    """Make a namespace that holds nothing of other tests."""
    name = f"audit-{uuid.uuid4().hex[:8]}"
    service = (await Client.connect(address)).workflow_service
    await service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400 * 3))
    )
    client = await Client.connect(address, namespace=name, data_converter=DATA_CONVERTER)
    while True:
        try:
            await client.count_workflows("")
        except RPCError:
            await asyncio.sleep(0.1)
        else:
            return client
