"""Copies of the chain in an S3 bucket with Object Lock: until their retention ends nobody can change or remove them.

That goes for us as well. In COMPLIANCE mode not even the account's root can erase an object early, so what is redacted
in the archive stays in the copy until `retention` is over: whoever must be able to erase personal data sooner chooses
a retention that is short enough, or encrypts payloads (the codec) and destroys the key. Backups of the database are
no different: they keep what was erased for as long as they are kept.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from audit.chain import hash_of
from audit.records import Head, Record
from libraries import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


class OtherCopy(Exception):  # noqa: N818 # as it is said
    """The bucket has another record of this number: it belongs to another chain, or one of both was forged."""


class ObjectLock:
    """One JSON object per record (a `Record`) and one per signed head, each written once.

    Needs s3:PutObject, s3:PutObjectRetention and s3:GetObject. Raises botocore's errors from every method.
    """

    def __init__(self, s3: "S3Client", bucket: str, prefix: str, retention: timedelta) -> None:
        self._s3, self._bucket, self._retention = s3, bucket, retention
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def place(self) -> str:
        """Where the copies are."""
        return f"s3://{self._bucket}/{self._prefix}"

    def put(self, record: Record) -> bool:
        """Copy a record; False where it is there already.

        Raises:
            OtherCopy: another one is there.

        """
        key = f"{self._prefix}records/{record.header.seq:012d}.json"
        return self._put(key, record.model_dump_json().encode(), hash_of(record.header), record.header.archived_at)

    def put_head(self, head: Head) -> bool:
        """Copy a signed head; False where it is there already.

        Raises:
            OtherCopy: another one is there.

        """
        key = f"{self._prefix}heads/{head.seq:012d}.json"
        return self._put(key, head.model_dump_json().encode(), head.hash, head.at)

    def _put(self, key: str, content: bytes, mark: str, at: datetime) -> bool:
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
                Metadata={"hash": mark},
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=at + self._retention,
                IfNoneMatch="*",
            )
        except aws_errors.ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _TAKEN:
                raise
            there = self._s3.head_object(Bucket=self._bucket, Key=key)["Metadata"].get("hash", "")
            if there != mark:
                raise OtherCopy(
                    f"s3://{self._bucket}/{key} is of another chain (hash {there[:16]}…, ours {mark[:16]}…): "
                    "was the database replaced? Give this chain a prefix of its own, and find out"
                ) from None
            return False
        return True
