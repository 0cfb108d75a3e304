"""What the archiver does when something it needs is not there, and what it copies."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from psycopg_pool import ConnectionPool
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import records_schema
from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.evidence.archive import Archive, ArchivedWindow, ArchiveWindow
from audit.object_lock import ObjectLock
from audit.records import Record
from audit.sealing import Archivable
from audit.signer import OFF
from audit.store import Store
from records_schema.pool import connect_pool
from sandbox.aws import ENVIRONMENT, Aws
from sandbox.ports import free_port
from sandbox.temporal import Temporal
from tests.audit.archiving import Place, new_namespace
from tests.audit.stories import history, new_signer, story
from tests.records_schema.own_server import OwnPostgres
from tests.servers import CreateDatabase


@pytest.fixture
async def place(temporal_address: str, records_pool: ConnectionPool[Any], tmp_path: Path) -> Place:
    return Place(await new_namespace(temporal_address), records_pool, new_signer(), tmp_path)


async def window(place: Place, client: Client | None = None) -> ArchivedWindow:
    environment = ActivityEnvironment(client=client or place.client)
    return await environment.run(Archive(place.archiver()).window, ArchiveWindow())


@pytest.fixture
def s3(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3", endpoint_url=aws.url, region_name="us-east-1")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"evidence-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


async def test_without_a_key_it_is_off(place: Place) -> None:
    with pytest.raises(Misconfigured, match="openssl genpkey"):
        await ActivityEnvironment(client=place.client).run(Archive(None).window, ArchiveWindow())
    assert "signing key" in OFF


async def test_it_beats_with_how_far_it_is(place: Place) -> None:
    await place.runs([{"text": "x"}] * 3)
    beats: list[Any] = []
    environment = ActivityEnvironment(client=place.client)
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    await environment.run(Archive(place.archiver()).window, ArchiveWindow())
    assert beats[0] == {"done": 0, "of": 0}


async def test_an_outage_of_the_bucket_delays_copies_and_loses_none(place: Place, s3: Any, bucket: str) -> None:
    await place.runs([{"text": "x"}] * 3)
    nowhere = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{free_port()}", region_name="us-east-1")
    place.copies = ObjectLock(nowhere, bucket, "", timedelta(days=1))
    with pytest.raises(Unavailable, match="S3"):
        await window(place)
    assert place.progress.until(place.client.namespace) is None, "the cursor waits for the copies"
    assert len(place.archived()) == 3
    place.copies = ObjectLock(s3, bucket, "", timedelta(days=1))
    result = await window(place)
    assert (result.archived, result.known, result.copied) == (0, 3, 3)
    assert (await window(place)).copied == 0
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["heads/000000000003.json", *(f"records/{seq:012d}.json" for seq in (1, 2, 3))]


async def test_a_bucket_that_refuses_is_said(place: Place, s3: Any, bucket: str) -> None:
    await place.runs([{"text": "x"}])
    place.copies = ObjectLock(s3, f"{bucket}-not", "", timedelta(days=1))
    with pytest.raises(ApplicationError, match="NoSuchBucket") as caught:
        await window(place)
    assert caught.value.non_retryable


async def test_a_bucket_with_another_chain_is_never_mixed_with_ours(place: Place, s3: Any, bucket: str) -> None:
    place.copies = ObjectLock(s3, bucket, "", timedelta(days=1))
    await place.runs([{"text": "x"}])
    other = Store(place.pool, place.signer).append(Archivable(history(1), story(1), story(1).started_at))
    assert other is not None
    changed = other.model_copy(update={"header": other.header.model_copy(update={"workflow_id": "another"})})
    place.copies.put(Record.model_validate(changed.model_dump()))
    with pytest.raises(Refused, match="was the database replaced"):
        await window(place)


async def test_secrets_that_are_older_than_the_chain_stop_it_and_the_missing_key_is_named(place: Place) -> None:
    await place.runs([{"text": "x"}] * 2)
    assert (await window(place)).archived == 2
    newest, place.signer = place.signer, new_signer()
    await place.runs([{"text": "x"}], prefix="later")
    with pytest.raises(Refused, match="secrets restored from before that key was made") as caught:
        await window(place)
    assert newest.key in str(caught.value)
    assert place.signer.key in str(caught.value)
    assert len(place.archived()) == 2, "nothing is signed with a key that is not to go on"
    # Heads are files: without them the chain's own end says it.
    for file in (place.folder / "audit" / "heads").iterdir():
        file.unlink()
    with pytest.raises(Refused, match=f"record 2 was signed with key {newest.key}"):
        await window(place)
    # Given up on purpose.
    place.earlier = (newest.public_key,)
    assert (await window(place)).archived == 1


@pytest.fixture
def own_pool(own_postgres: OwnPostgres) -> Iterator[ConnectionPool[Any]]:
    own_postgres.start()
    url = own_postgres.create_database()
    records_schema.migrate(url)
    with connect_pool(url) as pool:
        yield pool


async def test_an_outage_of_the_database_is_waited_for(
    place: Place, own_postgres: OwnPostgres, own_pool: ConnectionPool[Any]
) -> None:
    place.pool = own_pool
    await place.runs([{"text": "x"}] * 2)
    own_postgres.stop()
    with pytest.raises(Unavailable, match="did not answer"):
        await window(place)
    own_postgres.start()
    assert (await window(place)).archived == 2
    assert place.verify().ok


async def test_a_schema_of_before_the_archive_is_said_to_be_one(place: Place, create_database: CreateDatabase) -> None:
    with connect_pool(create_database()) as pool:
        place.pool = pool
        with pytest.raises(Misconfigured, match="python -m records_schema migrate"):
            await window(place)


async def test_a_temporal_that_does_not_answer_is_waited_for(place: Place, tmp_path: Path) -> None:
    server = Temporal(tmp_path / "temporal")
    server.start()
    server.wait_ready()
    client = await Client.connect(server.address)
    server.stop()
    with pytest.raises(Unavailable, match="Temporal did not answer"):
        await window(place, client)
