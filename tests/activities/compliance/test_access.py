"""The access review: what each source has, and each that does not answer is a gap and no failure."""

import base64
import csv
import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio.testing import ActivityEnvironment

from activities.catalogue.service import ApprovalPolicy
from activities.common.errors import Misconfigured, Unavailable
from activities.compliance.access import HEADS, AccessReview, AccessReviewed, ReviewAccess
from activities.compliance.looking import Around
from activities.database.servers.servers import Databases
from activities.evidence.files import FileStore
from activities.kubernetes.api import connect
from audit.signer import FileSigner
from libraries import kubernetes
from sandbox.aws import Aws
from tests.activities.compliance.packaging import FOLDER, PEM, effect, path_of

KEY = FileSigner(PEM)


def refuse(*_: Any) -> Any:
    raise Misconfigured("no access to it")


def nobody() -> Around:
    return Around(refuse, lambda: Databases({}), {}, refuse)


@pytest.fixture
def reviewing(tmp_path: Path, records_pool: ConnectionPool[Any]) -> Callable[..., AccessReviewed]:
    def review(around: Around, policy: ApprovalPolicy | None = None, step: str = "review") -> AccessReviewed:
        made = AccessReview(FileStore(tmp_path / "evidence"), records_pool, policy or ApprovalPolicy(), around)
        asked = ReviewAccess(folder=FOLDER, since=date(2025, 1, 1), effect=effect(step))
        return ActivityEnvironment().run(made.review, asked)

    return review


def table(reviewed: AccessReviewed) -> list[dict[str, str]]:
    content = path_of(reviewed).read_bytes().decode()
    return list(csv.DictReader(io.StringIO(content)))


def test_what_cannot_be_looked_at_is_named(reviewing: Callable[..., AccessReviewed]) -> None:
    reviewed = reviewing(nobody())
    assert [(gap.source, gap.why) for gap in reviewed.gaps] == [
        ("Kubernetes RBAC", "no access to it"),
        ("AWS IAM", "no access to it"),
    ]
    rows = table(reviewed)
    assert list(rows[0]) == list(HEADS)
    assert [row["source"] for row in rows if row["kind"] == "could not look"] == ["AWS IAM", "Kubernetes RBAC"]
    assert "AWS IAM" not in reviewed.counts
    assert any(row["source"] == "PostgreSQL of the records" and "superuser" in row["access"] for row in rows)


def test_roles_gateways_keys_and_people(
    reviewing: Callable[..., AccessReviewed], records_sql: psycopg.Connection[Any]
) -> None:
    records_sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES ('acme', 'Acme', 'team', 'it@acme.test')"
    )
    for key, state in (("tsk_used", "NULL"), ("tsk_gone", "now()")):
        records_sql.execute(
            "INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key, "
            "last_used_at, revoked_at) "
            f"VALUES (%(key)s, 'acme', sha256('x'), 'w', 'r', %(key)s, '2025-05-01Z', {state})",
            {"key": key},
        )
    policy = ApprovalPolicy(
        public_keys=(_base64(KEY.public_key),),
        roles={"restore": ("dba",)},
        second_person=("restore",),
    )
    rows = table(reviewing(nobody(), policy))
    by = {row["source"]: row for row in rows}
    assert by["Approval roles"]["access"] == "may decide: restore (with a second person)"
    assert by["Gateway identities"]["subject"] == KEY.key
    keys = [row for row in rows if row["source"] == "Tenants' API keys"]
    assert [(row["subject"], row["last used"]) for row in keys] == [("tsk_used", "2025-05-01T00:00:00.000000Z")]


ROLE: Any = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "audit-everything"},
    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
}
BINDING: Any = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "audit-admins"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "audit-everything"},
    "subjects": [
        {"kind": "Group", "name": "admins", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "worker", "namespace": "tensafe"},
    ],
}
LOST: Any = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "audit-lost", "namespace": "default"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "audit-gone"},
    "subjects": [{"kind": "User", "name": "=grace", "apiGroup": "rbac.authorization.k8s.io"}],
}


def test_the_clusters_bindings(reviewing: Callable[..., AccessReviewed], kubeconfig: Path) -> None:
    rbac = kubernetes.RbacAuthorizationV1Api(connect(kubeconfig))
    rbac.create_cluster_role(body=ROLE)
    rbac.create_cluster_role_binding(body=BINDING)
    rbac.create_namespaced_role_binding("default", body=LOST)
    around = Around(lambda: connect(kubeconfig), lambda: Databases({}), {}, refuse)
    reviewed = reviewing(around)
    assert [gap.source for gap in reviewed.gaps] == ["AWS IAM"]
    rows = [row for row in table(reviewed) if row["source"] == "Kubernetes RBAC"]
    found = {row["subject"]: row for row in rows}
    assert found["admins"]["access"] == "ClusterRole audit-everything: * *"
    assert found["tensafe/worker"]["scope"] == "the cluster, by audit-admins"
    assert found["'=grace"]["access"] == "Role audit-gone: there is no such role"
    assert {row["last used"] for row in rows} == {"not recorded there"}


def test_iams_report(reviewing: Callable[..., AccessReviewed], aws: Aws) -> None:
    def client(service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    iam = client("iam")
    iam.create_user(UserName="grace")
    iam.create_access_key(UserName="grace")
    iam.create_user(UserName="idle")
    rows = table(reviewing(Around(refuse, lambda: Databases({}), {}, client)))
    found = {row["subject"]: row for row in rows if row["source"] == "AWS IAM"}
    assert found["grace"]["kind"].startswith("access key")
    assert found["idle"]["access"] == "neither password nor active access key"


def test_what_may_pass_is_tried_once_more(reviewing: Callable[..., AccessReviewed]) -> None:
    asked = []

    def client(service: str) -> Any:
        asked.append(service)
        raise Unavailable("AWS IAM did not answer")

    reviewed = reviewing(Around(refuse, lambda: Databases({}), {}, client))
    assert asked == ["iam", "iam"]
    assert "AWS IAM" in {gap.source for gap in reviewed.gaps}


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
