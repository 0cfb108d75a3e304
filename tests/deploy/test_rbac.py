"""deploy/kubernetes/rbac.yaml on an API server that enforces it: the workers' account can do its work, and no more."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.autoscaling.autoscalers import Autoscalers, HoldAutoscaler, Kind, ReleaseAutoscaler, RenewHold
from activities.autoscaling.states import AutoscalingRequest
from activities.catalogue.recovery import RecoveryPolicy, TrafficPolicy
from activities.catalogue.service import GpuPolicy, ReleasePolicy, Service
from activities.catalogue.smoke import SmokeJob
from activities.catalogue.workloads import WorkloadPolicy
from activities.certificates.cert_manager import CertificatesRequest, CertManager
from activities.certificates.facts import chain_of, facts
from activities.certificates.pending import PendingSecrets
from activities.certificates.secrets import (
    HoldForRenewal,
    InstallCertificate,
    LetRenewalGo,
    SecretsRequest,
    TlsSecrets,
)
from activities.common.errors import Refused
from activities.kubernetes.access import Permission, refused
from activities.kubernetes.api import connect
from activities.kubernetes.cluster import (
    AwaitRollout,
    EventsRequest,
    Kubernetes,
    PodsRequest,
    RestartRollout,
    ScaleDeployment,
    UndoRollout,
    Workload,
)
from activities.kubernetes.database_secrets import (
    DatabaseSecretRequest,
    DatabaseSecrets,
    HoldSecret,
    PointAt,
    ReleaseSecret,
)
from activities.kubernetes.traffic import ShareRequest, ShiftTraffic, Traffic
from activities.kubernetes.workloads import Workloads, WorkloadsRequest
from activities.releases.helm_records import HelmRecords
from sandbox import binaries, manifests
from sandbox.ready import ready
from sandbox.toolchain import keda
from starters.cli.reaching import needed
from tests.activities.certificates.issuing import DAY, Issuer
from tests.activities.kubernetes.on_cluster import an_effect
from tests.deploy.guarded import RBAC, Guarded
from workers.settings import Settings

pytestmark = pytest.mark.servers

NAMESPACE = "tensafe"
SERVER = {"namespace": NAMESPACE, "deployment": "tensafe-server"}


def _soon() -> datetime:
    """The end of a hold; from now on, since a long run of tests outlives one that was fixed when it began."""
    return datetime.now(UTC) + timedelta(minutes=30)


def _kubectl(kubeconfig: Path, *arguments: str) -> str:
    command = [str(binaries.find("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of the workers' account, made as docs/deployment.md says."""
    with ready(Guarded(tmp_path_factory.mktemp("guarded"))) as server:
        manifests.apply_nodes(server.kubeconfig, keda_definition=keda.definition())
        manifests.apply_service(server.kubeconfig, NAMESPACE)
        _kubectl(server.kubeconfig, "apply", f"--filename={RBAC}")
        config = yaml.safe_load(server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": _kubectl(server.kubeconfig, "create", "token", "runbooks-worker")}
        kubeconfig = server.directory / "worker.yaml"
        kubeconfig.write_text(yaml.safe_dump(config))
        yield kubeconfig


@pytest.fixture
def api(worker: Path) -> Iterator[client.ApiClient]:
    with connect(worker) as api:
        yield api


def test_the_reads_of_a_diagnosis(api: client.ApiClient):
    kubernetes = Kubernetes(api)
    assert len(kubernetes.pods(PodsRequest(namespace=NAMESPACE, selector="app=tensafe")).items) == 3
    assert kubernetes.events(EventsRequest(namespace=NAMESPACE)).items
    assert kubernetes.deployment(Workload(**SERVER)).revisions
    scalers = AutoscalingRequest(namespace=NAMESPACE, hpa="tensafe-server", scaled_object="tensafe-scaledobject")
    state = Autoscalers(api).read(scalers)
    assert (state.hpa_max, state.scaled_object_paused) == (20, False)


def test_what_config_check_asks_for_is_what_the_role_gives(api: client.ApiClient):
    service = Service(
        deployment="tensafe-server",
        selector="app=tensafe",
        health_url="http://x",
        namespace=NAMESPACE,
        hpa="tensafe-server",
        scaled_object="tensafe-scaledobject",
        gpu=GpuPolicy(cluster="x"),
        release=ReleasePolicy(release="x", chart="x", smoke_job=SmokeJob(image="x")),
        recovery=RecoveryPolicy(traffic=TrafficPolicy(mode="ingress", ingress="x")),
        workloads=(WorkloadPolicy(kind="StatefulSet", name="x"), WorkloadPolicy(kind="CronJob", name="y")),
    )
    wanted = needed(Settings(services={"tensafe-server": service}))
    assert len(wanted) > 15
    assert refused(api, wanted) == []
    elsewhere = Permission("kube-system", "get", "pods/log")
    assert [str(one) for one in refused(api, [*wanted, elsewhere])] == ["get pods/log in kube-system"]


def test_the_changes_of_a_deployment(api: client.ApiClient):
    kubernetes = Kubernetes(api)
    now = datetime.now(UTC)
    assert kubernetes.scale(ScaleDeployment(**SERVER, replicas=4, effect=an_effect())).applied
    assert kubernetes.restart_rollout(RestartRollout(**SERVER, restarted_at=now, effect=an_effect())).applied
    wait = AwaitRollout(**SERVER, timeout=timedelta(minutes=4))
    assert ActivityEnvironment().run(kubernetes.await_rollout, wait).complete
    assert kubernetes.undo_rollout(UndoRollout(**SERVER, to_revision=1, effect=an_effect())).applied
    assert ActivityEnvironment().run(kubernetes.await_rollout, wait).complete


@pytest.mark.parametrize(
    ("kind", "name"), [("ScaledObject", "tensafe-scaledobject"), ("HorizontalPodAutoscaler", "tensafe-server")]
)
def test_a_hold_of_an_autoscaler(api: client.ApiClient, kind: Kind, name: str):
    autoscalers = Autoscalers(api)
    where = {"namespace": NAMESPACE, "lease": "lease"}
    named = {"scaled_object" if kind == "ScaledObject" else "hpa": name}
    assert autoscalers.hold(HoldAutoscaler(**where, **named, until=_soon(), floor=5, effect=an_effect())).applied
    this = {**where, "kind": kind, "name": name}
    assert autoscalers.renew(RenewHold(**this, until=_soon() + timedelta(minutes=5), effect=an_effect())).applied
    assert autoscalers.release(ReleaseAutoscaler(**this, effect=an_effect())).resumed


def test_the_service_pointed_at_another_database(worker: Path, api: client.ApiClient):
    names = {"primary": "tensafe-database-primary", "replica-1": "tensafe-database-replica-1"}
    for name, server in {"tensafe-database": "primary", **{secret: server for server, secret in names.items()}}.items():
        literal = f"--from-literal=url=postgresql://{server}/tensafe"
        _kubectl(worker, "create", "secret", "generic", name, literal)
    secrets = DatabaseSecrets(api)
    where = {"namespace": NAMESPACE, "secret": "tensafe-database"}
    assert secrets.hold(HoldSecret(**where, until=_soon(), effect=an_effect())).applied
    assert secrets.point(PointAt(**where, servers=names, server="replica-1", effect=an_effect())).applied
    assert secrets.pointed_at(DatabaseSecretRequest(**where, servers=names)).server == "replica-1"
    assert secrets.release(ReleaseSecret(**where, effect=an_effect())).applied
    assert _may(worker, "patch", "secrets", NAMESPACE, name="tensafe-database")
    assert not _may(worker, "patch", "secrets", NAMESPACE, name="tensafe-database-primary")


def test_the_reads_and_the_traffic_of_a_full_recovery(api: client.ApiClient):
    assert Workloads(api).deployments(WorkloadsRequest(namespace=NAMESPACE)).names == ["tensafe-server"]
    traffic, where = Traffic(api), {"namespace": NAMESPACE, "ingress": "tensafe-server"}
    assert traffic.share(ShareRequest(**where)).percent == 100
    assert traffic.shift(ShiftTraffic(**where, percent=10, instead_of=[100], effect=an_effect())).applied


def test_a_release_by_helm_and_the_way_back(worker: Path):
    wait = ("--wait", "--timeout=4m")
    release = (manifests.RELEASE, str(manifests.CHART), "--set-string=image.tag=v1.2.5")
    manifests.helm(worker, NAMESPACE, "upgrade", *release, "--dry-run=server")
    manifests.helm(worker, NAMESPACE, "upgrade", *release, *wait)
    manifests.helm(worker, NAMESPACE, "rollback", manifests.RELEASE, "1", *wait)
    assert "Rollback to 1" in manifests.helm(worker, NAMESPACE, "history", manifests.RELEASE)


def test_a_history_where_nobody_may_look_is_not_taken_for_none(api: client.ApiClient):
    records = HelmRecords(api)
    assert records.kept_elsewhere(NAMESPACE, "tensafe") == ""
    with pytest.raises(Refused, match="configmaps"):
        records.kept_elsewhere("kube-system", "tensafe")


def _may(worker: Path, verb: str, resource: str, namespace: str, name: str = "") -> bool:
    # `pods/log` would be a pod of that name.
    kind, _, part = resource.partition("/")
    object_ = f"{kind}/{name}" if name else kind
    command = ["auth", "can-i", verb, object_, f"--subresource={part}", f"--namespace={namespace}"]
    kubectl = [str(binaries.find("kubectl")), f"--kubeconfig={worker}", *command]
    answer = subprocess.run(kubectl, check=False, capture_output=True, text=True).stdout.strip()
    assert answer in {"yes", "no"}
    return answer == "yes"


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("list", "nodes"), ("get", "pods/log"), ("list", "deployments"), ("list", "statefulsets"), ("list", "daemonsets")]
    + [(verb, "jobs") for verb in ("create", "get", "delete")]
    + [(verb, "secrets") for verb in ("get", "list", "create", "update", "delete")],
)
def test_it_may(worker: Path, verb: str, resource: str):
    assert _may(worker, verb, resource, NAMESPACE)


@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        ("get", "secrets", "default"),
        ("patch", "deployments", "default"),
        ("list", "pods", "kube-system"),
        ("create", "pods", NAMESPACE),
        ("create", "pods/exec", NAMESPACE),
        ("delete", "pods", NAMESPACE),
        ("delete", "scaledobjects", NAMESPACE),
        ("create", "ingresses", NAMESPACE),
        ("delete", "ingresses", NAMESPACE),
        ("delete", "horizontalpodautoscalers", NAMESPACE),
        ("create", "serviceaccounts/token", NAMESPACE),
        ("patch", "roles.rbac.authorization.k8s.io", NAMESPACE),
        ("patch", "secrets", NAMESPACE),
        ("patch", "nodes", NAMESPACE),
        ("delete", "nodes", NAMESPACE),
        ("delete", "namespaces", NAMESPACE),
        ("impersonate", "users", NAMESPACE),
    ],
)
def test_it_may_not(worker: Path, verb: str, resource: str, namespace: str):
    assert not _may(worker, verb, resource, namespace)


def test_a_certificate_and_its_key(api: client.ApiClient):
    issuer, effect = Issuer(), an_effect()
    core, pending = client.CoreV1Api(api), PendingSecrets(client.CoreV1Api(api))
    (old_chain, old_key), (chain, key) = issuer.issue("a.test"), issuer.issue("a.test", left=80 * DAY)
    body: Any = {
        "metadata": {"name": "tensafe-tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": old_chain.decode(), "tls.key": old_key.decode()},
    }
    core.create_namespaced_secret(NAMESPACE, body)
    secrets, web = TlsSecrets(api), {"namespace": NAMESPACE, "name": "tensafe-tls"}
    (found,) = [one for one in secrets.list(SecretsRequest(namespaces=[NAMESPACE])).items if one.name == web["name"]]
    assert found.certificate is not None
    assert secrets.hold(HoldForRenewal(**web, until=_soon(), effect=effect)).applied
    waits = pending.begin(NAMESPACE, web["name"], effect, key)
    pending.issued(NAMESPACE, web["name"], waits, chain)
    new = facts(chain_of(chain)[0])
    install = InstallCertificate(
        **web, fingerprint=new.fingerprint, instead_of=found.certificate.fingerprint, effect=an_effect()
    )
    assert secrets.install(install).applied
    assert secrets.release(LetRenewalGo(**web, effect=an_effect())).applied
    assert CertManager(api).list(CertificatesRequest(namespaces=[NAMESPACE])).items == []  # it isn't there, and may be


def test_security_incidents_have_rights_of_a_file_of_their_own(worker: Path):
    """The last test of this file: what it applies stays."""
    assert not _may(worker, "patch", "nodes", "default")
    _kubectl(worker.with_name("kubeconfig.yaml"), "apply", f"--filename={RBAC.with_name('rbac-security.yaml')}")
    for verb, resource, namespace in (
        ("patch", "nodes", "default"),
        ("list", "pods", "kube-system"),
        ("get", "pods/log", "kube-system"),
        ("create", "pods/eviction", "kube-system"),
        ("list", "poddisruptionbudgets.policy", "kube-system"),
        ("patch", "pods", NAMESPACE),
        ("create", "networkpolicies.networking.k8s.io", NAMESPACE),
        ("delete", "networkpolicies.networking.k8s.io", NAMESPACE),
    ):
        assert _may(worker, verb, resource, namespace), resource
    for verb, resource, namespace in (
        ("delete", "nodes", "default"),
        ("delete", "pods", NAMESPACE),
        ("patch", "pods", "kube-system"),
        ("create", "pods/exec", NAMESPACE),
        ("create", "networkpolicies.networking.k8s.io", "kube-system"),
    ):
        assert not _may(worker, verb, resource, namespace), resource
