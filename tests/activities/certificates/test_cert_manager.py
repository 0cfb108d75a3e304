"""cert-manager's real definition on a real API server; the test plays its controller."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.certificates.cert_manager import (
    AwaitIssuance,
    CertificatesRequest,
    CertManager,
    Issuance,
    ManagedCertificate,
    TriggerIssuance,
)
from activities.common.errors import NotFound
from sandbox import kubernetes_api
from sandbox.probes import wait_until
from sandbox.toolchain.definitions import CERT_MANAGER
from tests.activities.kubernetes.on_cluster import an_effect

MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def defined(kubeconfig: Any) -> Iterator[None]:
    with kubernetes_api.connect(kubeconfig) as api:
        (definition,) = kubernetes_api.documents(CERT_MANAGER.path().read_text(encoding="utf-8"))
        kubernetes_api.apply(api, [definition])
        wait_until(lambda: api.get("/apis/cert-manager.io/v1/certificates").is_success)
        yield
        api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}")
        wait_until(lambda: not api.get("/apis/cert-manager.io/v1/certificates").is_success)


class Managed:
    """One Certificate, as cert-manager's controller has it."""

    def __init__(self, kube: httpx.Client, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.path = f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates"
        issuer = {"name": "letsencrypt", "kind": "ClusterIssuer"}
        spec = {"secretName": "web", "dnsNames": ["a.test"], "issuerRef": issuer}
        body = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": "web-cert"},
            "spec": spec,
        }
        kube.post(self.path, json=body).raise_for_status()
        self.status(revision=3, conditions=[_condition("Ready", "True")], notAfter="2026-03-05T12:00:00Z")

    def status(self, **fields: Any) -> None:
        self.kube.patch(f"{self.path}/web-cert/status", headers=MERGE, json={"status": fields}).raise_for_status()

    @property
    def raw(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get(f"{self.path}/web-cert").raise_for_status().json()
        return found

    def conditions(self) -> dict[str, dict[str, Any]]:
        return {one["type"]: one for one in self.raw["status"]["conditions"]}


def _condition(kind: str, status: str, reason: str = "Because", message: str = "it is so") -> dict[str, str]:
    at = "2026-02-04T12:00:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


@pytest.fixture
def managed(defined: None, kube: httpx.Client, tensafe: str) -> Managed:
    return Managed(kube, tensafe)


@pytest.fixture
def manager(cluster_api: client.ApiClient) -> CertManager:
    return CertManager(cluster_api)


def listed(manager: CertManager, namespace: str) -> list[ManagedCertificate]:
    return manager.list(CertificatesRequest(namespaces=[namespace])).items


def trigger(manager: CertManager, namespace: str, revision: int = 3, **fields: Any) -> Any:
    effect = fields.get("effect") or an_effect()
    return manager.trigger(TriggerIssuance(namespace=namespace, name="web-cert", revision=revision, effect=effect))


def wait(manager: CertManager, namespace: str, seconds: float = 240) -> Issuance:
    request = AwaitIssuance(namespace=namespace, name="web-cert", revision=3, within=timedelta(seconds=seconds))
    return ActivityEnvironment().run(manager.await_issuance, request)


def test_it_is_read_as_cert_manager_has_it(managed: Managed, manager: CertManager) -> None:
    window = {"start": "2026-02-28T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    managed.status(acme={"ari": {"suggestedWindow": window}}, renewalTime="2026-02-20T12:00:00Z")
    (found,) = listed(manager, managed.namespace)
    assert (found.secret, found.issuer, found.revision, found.ready, found.issuing) == (
        "web",
        "ClusterIssuer/letsencrypt",
        3,
        True,
        False,
    )
    assert str(found.window) == "2026-02-28 00:00 UTC to 2026-03-01 00:00 UTC"


def test_it_is_asked_as_cmctl_asks_it_and_once(managed: Managed, manager: CertManager) -> None:
    effect = an_effect()
    assert trigger(manager, managed.namespace, effect=effect).applied
    found = managed.conditions()
    assert (found["Issuing"]["status"], found["Issuing"]["reason"]) == ("True", "ManuallyTriggered")
    assert found["Issuing"]["observedGeneration"] == managed.raw["metadata"]["generation"]
    assert found["Ready"]["status"] == "True"
    version = managed.raw["metadata"]["resourceVersion"]
    for again in (effect, an_effect()):  # a second attempt, and another run
        done = trigger(manager, managed.namespace, effect=again)
        assert (done.applied, done.after) == (False, "already being issued")
    assert managed.raw["metadata"]["resourceVersion"] == version


def test_a_later_revision_is_not_asked_for_another(managed: Managed, manager: CertManager) -> None:
    managed.status(revision=4)
    done = trigger(manager, managed.namespace)
    assert (done.applied, done.after) == (False, "already revision 4")
    assert "Issuing" not in managed.conditions()


def test_a_plan_asks_nothing(managed: Managed, manager: CertManager) -> None:
    assert trigger(manager, managed.namespace, effect=an_effect(dry_run=True)).note.startswith("plan only")
    assert "Issuing" not in managed.conditions()


def test_it_is_waited_for_until_ready_with_a_new_revision(managed: Managed, manager: CertManager) -> None:
    trigger(manager, managed.namespace)

    def issue() -> None:
        time.sleep(0.5)
        managed.status(revision=4, conditions=[_condition("Ready", "True")])

    controller = threading.Thread(target=issue)
    controller.start()
    found = wait(manager, managed.namespace)
    controller.join()
    assert (found.issued, found.revision) == (True, 4)


def test_a_refusal_is_its_own_words(managed: Managed, manager: CertManager) -> None:
    trigger(manager, managed.namespace)
    failed = _condition("Issuing", "False", "Failed", "The certificate request has failed to complete")
    managed.status(failedIssuanceAttempts=1, conditions=[_condition("Ready", "True"), failed])
    found = wait(manager, managed.namespace)
    assert (found.issued, found.reason) == (False, "Failed: The certificate request has failed to complete")


def test_a_controller_that_does_nothing_is_told(managed: Managed, manager: CertManager) -> None:
    trigger(manager, managed.namespace)
    found = wait(manager, managed.namespace, 0.2)
    assert not found.issued
    assert "not within" in found.reason


def test_a_certificate_that_is_gone(managed: Managed, manager: CertManager) -> None:
    request = TriggerIssuance(namespace=managed.namespace, name="gone", revision=1, effect=an_effect())
    with pytest.raises(NotFound):
        manager.trigger(request)


def test_without_cert_manager_there_are_none(manager: CertManager, kube: httpx.Client, tensafe: str) -> None:
    name = "certificates.cert-manager.io"
    kube.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    wait_until(lambda: not kube.get("/apis/cert-manager.io/v1/certificates").is_success)
    assert listed(manager, tensafe) == []
