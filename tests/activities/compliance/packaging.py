"""Records of a year, and packages that are made of them."""

import hashlib
import io
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activities.catalogue.compliance import FrameworkName
from activities.common.effects import Effect
from activities.common.sheets import sheet
from activities.compliance import access, encryption
from activities.compliance.packages import CompliancePackages, Exhibit, MakePackage
from activities.evidence.evidence import Kept, StoredEvidence
from activities.evidence.files import FileStore
from audit.compliance import Gap, Measured
from audit.signer import FileSigner

START, END, LOOKED_ON = date(2025, 1, 1), date(2025, 12, 31), date(2026, 1, 2)
FOLDER = "compliance/of-the-test"
PEM = (
    Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
MEASURES = [
    Measured(
        group="TLS",
        what="api.tensafe.test:443 at 10.0.0.1:443",
        state="weak",
        found="TLS 1.0: not taken (TLS: tlsv1 alert protocol version); TLS 1.1: ECDHE-RSA-AES128-SHA; "
        "TLS 1.2: ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-CHACHA20-POLY1305; TLS 1.3: TLS_AES_256_GCM_SHA384",
    ),
    Measured(group="S3", what="evidence", state="encrypted", found="aws:kms alias/evidence"),
    Measured(
        group="Kubernetes",
        what="Secrets in etcd",
        state="could not look",
        found="the Kubernetes API does not say how etcd is encrypted: ask whoever runs the control plane",
    ),
]
GAPS = [
    Gap(exhibit="encryption-status.pdf", source="Kubernetes Secrets in etcd", why=MEASURES[-1].found),
    Gap(exhibit="access-review.csv", source="AWS IAM", why="AWS IAM: no credentials (NoCredentialsError)"),
]


def effect(step: str = "package", *, dry_run: bool = False) -> Effect:
    return Effect(key=f"wf-1/run-1/{step}", workflow_id="wf-1", run_id="run-1", actor="ada", dry_run=dry_run)


EFFECTS = """
INSERT INTO runbooks.audit_log
       (at, actor, workflow_id, run_id, effect_key, action, target, before, after, note)
SELECT '2025-01-01Z'::timestamptz + n * ('364 days'::interval / %(rows)s), 'ada', 'wf-' || n, 'r', 'e' || n,
       'scale', 'deployment/tensafe-server', '3', '5', 'because of “load”, =1+1'
FROM generate_series(1, %(rows)s) AS n
"""
OTHERS = """
INSERT INTO runbooks.audit_log (at, actor, workflow_id, run_id, effect_key, action, target, before, after, note)
VALUES ('2026-01-01Z', 'ada', 'w', 'r', 'later', 'scale', 't', '', '', '');
INSERT INTO runbooks.deployments
       (service, version, status, deployer, started_at, finished_at, workflow_id, run_id, effect_key)
SELECT 'tensafe-server', 'v1.2.' || n, 'complete', 'ada@tensafe.io',
       '2025-02-01Z'::timestamptz + n * '5 days'::interval, '2025-12-31Z', 'w', 'r', 'd' || n
FROM generate_series(1, 60) AS n;
INSERT INTO runbooks.incidents
       (incident_id, severity, title, service, commander, opened_at, workflow_id, run_id, effect_key)
SELECT 'INC-2025-' || n, 'P2', 'Answers take more than 2 s in the whole of Europe', 'tensafe-server',
       'grace@tensafe.io', '2025-03-01Z'::timestamptz + n * '30 days'::interval, 'w', 'r', 'i' || n
FROM generate_series(1, 7) AS n;
"""


def year(sql: psycopg.Connection[Any], rows: int = 120) -> None:
    """Enter what a year leaves: effects spread over it, deployments, incidents, and something of the next year."""
    sql.execute(EFFECTS, {"rows": rows})
    sql.execute(OTHERS)


def exhibit(store: FileStore, name: str, content: bytes) -> Exhibit:
    """Keep what an earlier step would have kept."""
    digest = hashlib.sha256(content).hexdigest()
    key = f"{FOLDER}/{name}"
    store.create(key, io.BytesIO(content), Kept(store.uri(key), digest, len(content), "earlier", ""), "text/plain")
    return Exhibit(uri=store.uri(key), sha256=digest)


def request(store: FileStore, framework: FrameworkName = "soc2", **changes: Any) -> MakePackage:
    review = b"".join(sheet(access.HEADS, [("AWS IAM", "root", "password", "console", "arn", "never", "2026-01-02")]))
    values = {
        "framework": framework,
        "start": START,
        "end": END,
        "folder": FOLDER,
        "looked_on": LOOKED_ON,
        "seed": "an-auditors-seed",
        "seed_given": True,
        "samples": 25,
        "access": exhibit(store, access.NAME, review),
        "access_counts": {"AWS IAM": 1},
        "encryption": exhibit(store, encryption.NAME, encryption.MEASURES.dump_json(MEASURES, indent=1)),
        "gaps": GAPS,
        "effect": effect(),
    }
    return MakePackage(**(values | changes))


def packages(store: FileStore, pool: Any) -> CompliancePackages:
    return CompliancePackages(store, pool, FileSigner(PEM))


def path_of(made: StoredEvidence) -> Path:
    return Path(made.uri.removeprefix("file://"))


def contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
