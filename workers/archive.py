"""From the settings' [audit] section to the archive: its signer, its copies, its public keys."""

from typing import Any

import boto3
import structlog
from botocore.config import Config
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.archive import OFF, Archiver
from activities.evidence import EvidenceStore
from audit.object_lock import ObjectLock
from audit.payloads import DecodeOne
from audit.signer import FileSigner, KmsSigner, Signer, SigningError, public_key_from
from audit.store import Store
from audit.store_connection import Pool
from audit.store_progress import Progress
from database.server import conninfo
from workers.settings import Audit, SettingsError

_PATIENT = "-c statement_timeout=60s -c lock_timeout=30s -c idle_in_transaction_session_timeout=2min -c timezone=UTC"


def signer(audit: Audit) -> Signer | None:
    """Give what signs; None where no key is configured.

    Raises:
        SettingsError: the key is none.

    """
    if audit.kms_key_id is not None:
        return KmsSigner(_client("kms", audit), audit.kms_key_id)
    if audit.private_key is None:
        return None
    try:
        return FileSigner(audit.private_key.get_secret_value())
    except SigningError as error:
        raise SettingsError(str(error)) from None


def public_keys(audit: Audit) -> list[bytes]:
    """Give the keys that the chain may be signed with: the configured ones and our own.

    Raises:
        SettingsError: one of them is none, or KMS doesn't give its own.

    """
    try:
        keys = [public_key_from(text) for text in audit.public_keys]
        own = signer(audit)
        if own is not None:
            keys.append(own.public_key)
    except SigningError as error:
        message = f"audit: {error}"
        raise SettingsError(message) from None
    return keys


def patient_pool(url: SecretStr) -> Pool:
    """Open the archiver's own connections: a history may have fifty megabytes, and nobody waits for it.

    Raises:
        DatabaseError: the URL is not a PostgreSQL URL.

    """
    parts = conninfo(url)
    parts["options"] = f"{parts.get('options') or ''} {_PATIENT}".strip()
    parts |= {"application_name": "runbooks-archive", "connect_timeout": 5, "tcp_user_timeout": 10_000}
    return ConnectionPool(
        kwargs={**parts, "autocommit": True},
        min_size=0,
        max_size=4,
        timeout=10,
        reconnect_timeout=10,
        check=ConnectionPool.check_connection,
        name="archive",
        open=True,
    )


def archiver(audit: Audit, pool: Pool, heads: EvidenceStore, codec: DecodeOne | None = None) -> Archiver | None:
    """Put the archiver together; None where no key is configured.

    Raises:
        SettingsError: the key is none.

    """
    signs = signer(audit)
    if signs is None:
        structlog.get_logger(__name__).warning(OFF)
        return None
    copies = None
    if audit.bucket:
        copies = ObjectLock(_client("s3", audit), audit.bucket, audit.prefix, audit.retention)
    return Archiver(
        store=Store(pool, signs),
        progress=Progress(pool),
        heads=heads,
        codec=codec,
        copies=copies,
        settle=audit.settle,
    )


def _client(service: str, audit: Audit) -> Any:
    # The SDK's own retries are off: Temporal retries, visibly.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    region = audit.region or boto3.Session().region_name or "us-east-1"
    return boto3.Session().client(service, region_name=region, endpoint_url=audit.endpoint_url, config=config)  # type: ignore[call-overload]
