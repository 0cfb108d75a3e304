"""From the settings' [audit] section to the archive: its store, its copies."""

from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.evidence.archive import Archiver
from activities.evidence.evidence import EvidenceStore
from audit.object_lock import ObjectLock
from audit.payloads import DecodeOne
from audit.signer import OFF
from audit.store import Store
from audit.store_connection import Pool
from audit.store_progress import Progress
from libraries import logger
from records_schema.server import conninfo
from workers.audit_keys import client, earlier_keys, signer
from workers.settings import AuditSettings

_log = logger(__name__)
_PATIENT = "-c statement_timeout=60s -c lock_timeout=30s -c idle_in_transaction_session_timeout=2min -c timezone=UTC"


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


def archiver(audit: AuditSettings, pool: Pool, heads: EvidenceStore, codec: DecodeOne | None = None) -> Archiver | None:
    """Put the archiver together; None where no key is configured.

    Raises:
        SettingsError: a key is none.

    """
    signs = signer(audit)
    if signs is None:
        _log.warning(OFF)
        return None
    earlier = earlier_keys(audit)
    copies = None
    if audit.bucket:
        copies = ObjectLock(client("s3", audit), audit.bucket, audit.prefix, audit.retention)
    return Archiver(
        store=Store(pool, signs),
        progress=Progress(pool),
        heads=heads,
        public_keys=lambda: [*earlier, signs.public_key],
        codec=codec,
        copies=copies,
        settle=audit.settle,
    )
