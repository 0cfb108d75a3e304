"""Evidence in an S3 bucket; what is known of an object is in its metadata, so both come to be at once."""

import base64
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import quote, unquote

from activities.common import aws
from activities.evidence.evidence import Kept
from libraries import aws_config, aws_errors, boto3

_SYSTEM = "S3"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


class S3Store:
    """Objects of one bucket, below an optional prefix. The bucket's own policy may add encryption or Object Lock.

    With `lock_for` every object is written under Object Lock in COMPLIANCE mode: until then nobody can remove that
    version or shorten its time, the account's root neither. The bucket must have been made with Object Lock.

    Needs s3:PutObject, s3:GetObject and, to tell what is missing from what is denied, s3:ListBucket.

    Raises from every method: `NotFound` (no such bucket), `Refused` (denied), `Misconfigured` (no credentials),
    `RateLimited`, `Conflict`, `Unavailable`.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        lock_for: timedelta | None = None,
    ) -> None:
        # Temporal retries, visibly.
        config = aws_config.Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
        # A session of its own: the shared one isn't safe to use from several threads while it is being set up.
        session = boto3.Session(region_name=region)
        self._s3 = session.client("s3", endpoint_url=endpoint_url, config=config)
        self._bucket = bucket
        self._lock_for = lock_for
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, key: str) -> str:
        """Give the object's URI."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def find(self, key: str) -> Kept | None:
        """Find an object by its metadata."""
        with aws.failures(_SYSTEM):
            try:
                head = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except aws_errors.ClientError as error:
                # A missing bucket says the same here; writing will tell them apart.
                if aws.status(error) == HTTPStatus.NOT_FOUND:
                    return None
                raise
        known = head["Metadata"]
        return Kept(
            uri=self.uri(key),
            sha256=known.get("sha256", ""),
            size=head["ContentLength"],
            effect=known.get("effect", ""),
            detail=unquote(known.get("detail", "")),
        )

    def create(self, key: str, content: IO[bytes], kept: Kept, content_type: str) -> bool:
        """Write an object that isn't there yet; S3 checks its SHA-256 on arrival, and locks it if it is told to."""
        lock: dict[str, Any] = {}
        if self._lock_for is not None:
            until = datetime.now(UTC) + self._lock_for
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        with aws.failures(_SYSTEM):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=content,
                    ContentType=content_type,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(kept.sha256)).decode(),
                    Metadata={"effect": kept.effect, "sha256": kept.sha256, "detail": quote(kept.detail)},
                    IfNoneMatch="*",
                    **lock,
                )
            except aws_errors.ClientError as error:
                if aws.code(error) in _TAKEN:
                    return False
                raise
        return True

    def keys(self, prefix: str) -> list[str]:
        """List the objects below a prefix."""
        with aws.failures(_SYSTEM):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return [key.removeprefix(self._prefix) for key in found]

    def read(self, key: str) -> bytes:
        """Read an object."""
        with aws.failures(_SYSTEM):
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        return content
