"""Copies in a bucket with Object Lock, on moto's server: written once, and not to be removed."""

import uuid
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from audit.chain import Verifier
from audit.object_lock import ObjectLock, OtherCopy
from audit.records import Head, Record
from audit.sealing import Link, seal_head
from sandbox.aws import ENVIRONMENT, Aws
from tests.audit.stories import chain, new_signer

SIGNER = new_signer()


@pytest.fixture
def s3(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3", endpoint_url=aws.url, region_name="us-east-1")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"evidence-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_a_copy_is_the_whole_record_and_is_written_once(s3: Any, bucket: str) -> None:
    copies, records = ObjectLock(s3, bucket, "/audit/", timedelta(days=30)), chain(SIGNER, 3)
    head = seal_head(SIGNER, Link.to(records[-1].header))
    for expected in (True, False):
        assert [copies.put(record) for record in records] == [expected] * 3
        assert copies.put_head(head) is expected
    assert copies.place == f"s3://{bucket}/audit/"

    def read(key: str) -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    verifier = Verifier([SIGNER.public_key], [Head.model_validate_json(read("audit/heads/000000000003.json"))])
    for seq, record in enumerate(records, start=1):
        copy = Record.model_validate_json(read(f"audit/records/{seq:012d}.json"))
        assert copy == record
        verifier.feed(copy)
    assert verifier.end().ok


def test_nobody_can_remove_or_shorten_it(s3: Any, bucket: str) -> None:
    (record,) = chain(SIGNER, 1)
    ObjectLock(s3, bucket, "", timedelta(days=30)).put(record)
    (version,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    place = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
    kept = s3.head_object(**place)
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    assert abs(kept["ObjectLockRetainUntilDate"] - record.header.archived_at - timedelta(days=30)) < timedelta(
        seconds=2
    )
    for extra in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(**place, **extra)


def test_a_record_of_another_chain_is_noticed(s3: Any, bucket: str) -> None:
    copies = ObjectLock(s3, bucket, "", timedelta(days=1))
    copies.put(chain(SIGNER, 1)[0])
    with pytest.raises(OtherCopy, match="was the database replaced"):
        copies.put(chain(SIGNER, 1)[0])
