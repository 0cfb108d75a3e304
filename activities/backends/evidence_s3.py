"""Evidence in an S3 bucket; what is known of an object is in its metadata, so both come to be at once."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from activities.errors import Misconfigured, NotFound, RateLimited, Refused, Unavailable, unavailable
from activities.evidence import Kept

_SYSTEM = "S3"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_SLOW_DOWN = {"SlowDown", "RequestLimitExceeded", "TooManyRequests"}


class S3Store:
    """Objects of one bucket, below an optional prefix. The bucket's own policy may add encryption or Object Lock.

    Needs s3:PutObject, s3:GetObject and, to tell what is missing from what is denied, s3:ListBucket.

    Raises from every method: `NotFound` (no such bucket), `Refused` (denied), `Misconfigured` (no credentials),
    `RateLimited`, `Unavailable`.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
    ) -> None:
        # Temporal retries, visibly.
        config = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
        # A session of its own: the shared one isn't safe to use from several threads while it is being set up.
        session = boto3.Session(region_name=region)
        self._s3 = session.client("s3", endpoint_url=endpoint_url, config=config)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, key: str) -> str:
        """Give the object's URI."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def find(self, key: str) -> Kept | None:
        """Find an object by its metadata."""
        with _failures():
            try:
                head = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                # A missing bucket says the same here; writing will tell them apart.
                if _status(error) == HTTPStatus.NOT_FOUND:
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
        """Write an object that isn't there yet; S3 checks its SHA-256 on arrival."""
        with _failures():
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=content,
                    ContentType=content_type,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(kept.sha256)).decode(),
                    Metadata={"effect": kept.effect, "sha256": kept.sha256, "detail": quote(kept.detail)},
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        message = f"{_SYSTEM} answered {_status(error)} {_code(error)}"
        if _code(error) in _SLOW_DOWN or _status(error) == HTTPStatus.TOO_MANY_REQUESTS:
            raise RateLimited(message) from None
        if _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(message) from None
        if _status(error) == HTTPStatus.NOT_FOUND:
            raise NotFound(message) from None
        raise Refused(message) from None
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Misconfigured(f"{_SYSTEM}: no credentials ({type(error).__name__})") from None
    except BotoCoreError as error:
        unavailable(_SYSTEM, error)
