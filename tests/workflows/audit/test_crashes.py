"""Kill -9 the archiver anywhere: no gap, no double, and the chain verifies."""

import asyncio
import json
import random
import uuid
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from audit.chain import Verifier
from audit.records import Head, Record
from audit.signer import FileSigner
from sandbox.aws import ENVIRONMENT, Aws
from tests.audit.archiving import QUEUE, Place, new_namespace
from tests.audit.stories import new_pem
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401
from tests.workflows.audit.dying_archiver import Instant, Worker
from workers.settings import AuditSettings, TemporalSettings
from workflows.audit.archive_runs import ArchiveRequest, ArchiveRuns

INSTANTS = [
    Instant("Store", "append", "before", 5),
    Instant("Store", "append", "after", 5),
    Instant("store", "_insert", "after", 3),
    Instant("store", "_index", "before", 4),
    Instant("store", "_index", "after", 6),
    Instant("store", "_store", "before", 3),
    Instant("store", "_store", "after", 2),
    Instant("ObjectLock", "put", "before"),
    Instant("ObjectLock", "put", "after", 2),
    Instant("Progress", "copy_to", "before", 3),
    Instant("Progress", "copy_to", "after", 4),
    Instant("Store", "sign_head", "before"),
    Instant("Store", "sign_head", "after"),
    Instant("FileStore", "create", "before"),
    Instant("FileStore", "create", "after"),
    Instant("ObjectLock", "put_head", "before"),
    Instant("ObjectLock", "put_head", "after"),
    Instant("Progress", "move", "before"),
    Instant("Progress", "move", "after"),
]
ROUND = 8
AT_RANDOM = 6
BIG_ROUND = 12


@pytest.mark.timeout(500)
async def test_wherever_the_archiver_is_killed_every_run_is_archived_once(  # noqa: PLR0915, PLR0917
    temporal_address: str,
    records_url: str,  # noqa: F811
    records_pool: ConnectionPool[Any],  # noqa: F811
    records_sql: psycopg.Connection[Any],  # noqa: F811
    aws: Aws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pem = new_pem()
    bucket = f"evidence-{uuid.uuid4().hex[:8]}"
    s3 = boto3.client("s3", endpoint_url=aws.url, region_name="us-east-1")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    client = await new_namespace(temporal_address)
    place = Place(client, records_pool, FileSigner(pem), tmp_path)
    worker = Worker(
        TemporalSettings(address=temporal_address, namespace=client.namespace, task_queue=QUEUE),
        AuditSettings(private_key=SecretStr(pem), bucket=bucket, endpoint_url=aws.url, region="us-east-1"),
        records_url,
        tmp_path,
    )
    started = []

    async def archive() -> None:
        started.append(
            await client.start_workflow(ArchiveRuns.run, ArchiveRequest(), id=f"a-{uuid.uuid4()}", task_queue=QUEUE)
        )

    for number, instant in enumerate(INSTANTS):
        await place.runs([{"text": f"{instant}"}] * ROUND, prefix=f"round{number}")
        process = worker.start(instant)
        await archive()
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == -9, f"nobody died {instant}"
    chance = random.Random(7)
    for number in range(AT_RANDOM):
        await place.runs([{"text": "at random"}] * BIG_ROUND, prefix=f"random{number}")
        count = "SELECT count(*) FROM runbooks.archive_records"
        before = records_sql.execute(count).fetchone() or (0,)
        process = worker.start()
        await archive()
        some = chance.randint(1, BIG_ROUND - 2)
        while (records_sql.execute(count).fetchone() or (0,))[0] < before[0] + some:
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() * 0.01)
        process.kill()
        process.join()

    process = worker.start()
    try:
        await archive()
        # Runs whose worker was killed come after all, on top of each other; some have used up their attempts.
        *killed, last = started
        await last.result()
        await asyncio.gather(*(handle.result() for handle in killed), return_exceptions=True)
    finally:
        process.kill()
        process.join()

    total = len(INSTANTS) * ROUND + AT_RANDOM * BIG_ROUND
    archived = place.archived()
    assert len(archived) == len(set(archived)) == total
    assert set(archived) == await place.closed()
    verdict = place.verify()
    assert (verdict.ok, verdict.last) == (True, total), verdict
    assert place.heads[-1].seq == total
    copies = Verifier([place.signer.public_key], _heads(s3, bucket))
    for seq in range(1, total + 1):
        body = s3.get_object(Bucket=bucket, Key=f"records/{seq:012d}.json")["Body"].read()
        copies.feed(Record.model_validate(json.loads(body)))
    assert copies.end().ok
    versions = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="records/")
    assert sum(len(page["Versions"]) for page in versions) == total


def _heads(s3: object, bucket: str) -> list[Head]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="heads/")  # type: ignore[attr-defined]
    keys = [entry["Key"] for page in pages for entry in page["Contents"]]
    return [
        Head.model_validate_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read())  # type: ignore[attr-defined]
        for key in keys
    ]
