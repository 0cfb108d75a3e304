"""The archive: how fast closed runs become records, and how fast and in how much memory records are verified.

The floor of archiving is to fetch the same history from Temporal and insert it as it is. The floor of verifying is what
cryptography alone costs: the SHA-256 of every byte and one Ed25519 signature a record. Memory is that of a fresh
process for many records beside few; the default stays short, and the full measurement takes about an hour:

    BENCH_RECORDS=100000 python -m bench evidence
"""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.progress import Progress
from temporalio.client import Client

from audit.chain import Verifier, header_bytes
from audit.live import Fetched, fetch
from audit.payloads import Decoder
from audit.sealing import Archivable
from audit.signer import FileSigner
from audit.store import Store
from bench.evidence_records import records
from bench.harness import Outcome, Result, result
from bench.production import Production, Service
from bench.servers import Servers
from records_schema.pool import connect_pool
from sandbox import manifests
from workers.converter import DATA_CONVERTER
from workflows.scaling.manual_scale_up import ManualScaleUp, ManualScaleUpRequest

_NAMESPACE = "bench-evidence"
_RUNS, _AT_ONCE, _WARMUP = 120, 8, 20
_VERIFIED = 1_000
_FEW, _MANY = 1_000, 5_000
_MIB = 1024


class _Benchmark:
    key = "evidence"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        """Measure all three."""
        del rounds
        archived = await _archive(servers, progress)
        return [archived, _verify(progress), await asyncio.to_thread(_memory, progress)]


async def _archive(servers: Servers, progress: Progress) -> Outcome:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    async with _closed_runs(servers, progress) as (client, names):
        bar = progress.add_task("archiving", total=len(names))
        ours: list[float] = []
        floor: list[float] = []
        events = 0
        with (
            connect_pool(servers.records, max_size=1) as pool,
            psycopg.connect(servers.records, autocommit=True) as raw,
        ):
            store = Store(pool, FileSigner(pem.decode()))
            raw.execute("CREATE TABLE IF NOT EXISTS bench_raw (run_id text PRIMARY KEY, history text)")
            for name in names:
                began = time.perf_counter()
                one = await fetch(client, name)
                _append(store, one)
                ours.append(time.perf_counter() - began)
                began = time.perf_counter()
                again = await fetch(client, name)
                raw.execute("INSERT INTO bench_raw VALUES (%s, %s)", (again.run_id, json.dumps(again.history)))
                floor.append(time.perf_counter() - began)
                events += len(one.history["events"])
                progress.advance(bar)
    rate = len(ours[_WARMUP:]) / sum(ours[_WARMUP:])
    told = f"{rate:.0f} runs a second on one connection, {events / len(names):.0f} events each"
    return Outcome(result("a closed run → a record of the archive", ours[_WARMUP:], floor[_WARMUP:], told))


def _append(store: Store, one: Fetched) -> None:
    story = one.story(Decoder())
    if story.ended_at is None or store.append(Archivable(one.history, story, story.ended_at)) is None:
        raise RuntimeError(f"{one.workflow_id} was not archived")


@asynccontextmanager
async def _closed_runs(servers: Servers, progress: Progress) -> AsyncIterator[tuple[Client, list[str]]]:
    """Give scale-ups in plan mode that have closed, on a real cluster."""
    kubeconfig = servers.kubeconfig
    service, health = servers.service("evidence-service", _NAMESPACE)
    services = {manifests.SERVICE: Service(_NAMESPACE, health)}
    production = Production(servers, "evidence", services, kubeconfig=kubeconfig)
    worker = production.start_worker()
    client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
    bar = progress.add_task("running what is to be archived", total=_RUNS)
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> str:
        request = ManualScaleUpRequest(service=manifests.SERVICE, target="+1", dry_run=True)
        name = f"bench-evidence-{number}-{secrets.token_hex(4)}"
        async with room:
            await client.execute_workflow(ManualScaleUp.run, request, id=name, task_queue=production.task_queue)
        progress.advance(bar)
        return name

    names = await asyncio.gather(*(one(number) for number in range(_RUNS)))
    worker.stop()
    service.stop()
    yield client, list(names)


def _verify(progress: Progress) -> Outcome:
    bar = progress.add_task("verifying", total=_VERIFIED)
    ours: list[float] = []
    floor: list[float] = []
    size = 0
    public, chain = records(_VERIFIED)
    verifier, key = Verifier([public]), Ed25519PublicKey.from_public_bytes(public)
    for record in chain:
        began = time.perf_counter()
        verifier.feed(record)
        ours.append(time.perf_counter() - began)
        raw = header_bytes(record.header)
        began = time.perf_counter()
        hashlib.sha256(raw).digest()
        hashlib.sha256(record.skeleton).digest()
        for body in record.bodies.values():
            hashlib.sha256(base64.b64decode(body.salt) + base64.b64decode(body.data)).digest()
        key.verify(base64.b64decode(record.signature), raw)
        floor.append(time.perf_counter() - began)
        size += len(record.skeleton) + sum(len(body.data) for body in record.bodies.values())
        progress.advance(bar)
    if not verifier.end().ok:
        raise RuntimeError(f"a whole chain was refused: {verifier.end().broken}")
    told = f"{len(ours) / sum(ours):.0f} records a second, {size / len(ours) / _MIB:.0f} KiB each"
    return Outcome(result("a record of the archive → verified", ours, floor, told))


def _memory(progress: Progress) -> Outcome:
    many = int(os.environ.get("BENCH_RECORDS", _MANY))
    bar = progress.add_task("verifying in fresh processes", total=2)
    peaks = []
    for number in (_FEW, many):
        told = subprocess.run(
            [sys.executable, "-m", "bench.evidence_records", str(number)], capture_output=True, text=True, check=True
        )
        peaks.append(round(int(told.stdout) / _MIB, 1))
        progress.advance(bar)
    few, most = peaks
    return Outcome(
        Result(
            name=f"peak memory of making and verifying {many:,} records, beside {_FEW:,}",
            ours=most,
            floor=few,
            ratio=round(most / few, 3),
            unit="MiB",
            ours_p95=most,
            floor_p95=few,
            n=1,
        )
    )


BENCHMARK = _Benchmark()
