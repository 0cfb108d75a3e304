"""Where the settings keep evidence: a folder, or an S3 bucket."""

from activities.evidence.evidence import EvidenceStore
from activities.evidence.files import FileStore
from activities.evidence.s3 import S3Store
from workers.settings import Settings


def evidence_store(settings: Settings) -> EvidenceStore:
    """Give it; nothing is asked of it yet."""
    evidence = settings.evidence
    if evidence.backend == "s3" and evidence.bucket:
        return S3Store(
            evidence.bucket,
            evidence.prefix,
            endpoint_url=evidence.endpoint_url,
            region=evidence.region,
            lock_for=evidence.lock_for,
        )
    return FileStore(settings.path(evidence.directory))
