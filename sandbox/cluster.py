"""A real Kubernetes control plane, with kwok standing in for nodes and containers.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok run as plain child processes, tuned to start
fast and to idle cheaply. What the API does is real; containers do not run, so pods become Ready at once, unless their
image is one of the bad ones, whose pods crash-loop (see `manifests/kwok.yaml`).
"""

import base64
import secrets
import shutil
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from sandbox import binaries, manifests, probes
from sandbox.certificates import write_certificate
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess

# Only what Deployments, Jobs, nodes, evictions and namespaces need; every other controller costs start-up time. The
# autoscaler's is left out because there are no pod metrics for it: it would do nothing but complain in the events.
_CONTROLLERS = (
    "cronjob-controller,daemonset-controller,deployment-controller,disruption-controller,endpointslice-controller,"
    "garbage-collector-controller,job-controller,namespace-controller,node-lifecycle-controller,"
    "pod-garbage-collector-controller,replicaset-controller,statefulset-controller,taint-eviction-controller"
)
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {
            "level": "Metadata",
            "verbs": ["get", "create", "patch", "delete"],
            "resources": [
                {"group": "", "resources": ["pods/log", "pods/eviction"]},
                {"group": "networking.k8s.io", "resources": ["networkpolicies"]},
            ],
        },
        {"level": "None"},
    ],
}
"""What a security incident is proven by (runbook 8.1); all else would only cost time."""

_GO_ENV = {"GOGC": "400", "GOTRACEBACK": "single"}
_UNLIMITED_QPS = ("--kube-api-qps=5000", "--kube-api-burst=10000")


class Cluster:
    """One cluster; `kubeconfig` is written by `start`."""

    name = "kubernetes"

    def __init__(self, directory: Path, *, bad_images: Sequence[str] = manifests.BAD_IMAGES) -> None:
        self.directory = directory
        self.bad_images = tuple(bad_images)
        self.kubeconfig = directory / "kubeconfig.yaml"
        self.certificate = directory / "server.crt"
        self._key = directory / "server.key"
        self._token = secrets.token_urlsafe(32)
        self._ports = {name: free_port() for name in ("etcd", "peer", "api", "controllers", "scheduler", "kwok")}
        self.url = f"https://{LOOPBACK}:{self._ports['api']}"
        self.processes: list[ServerProcess] = []

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, a JSON line a request: what was read and taken from nodes and pods."""
        return self.directory / "audit.log"

    @property
    def pods_log_directory(self) -> Path:
        """Where the log files are that the API serves for pods."""
        return self.directory / "pods"

    def start(self) -> None:
        """Write the configuration and start all parts; `wait_ready` waits for them."""
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pods_log_directory.mkdir(exist_ok=True)
        started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
        (self.pods_log_directory / "any.log").write_text(f"{started} stdout F started\n", encoding="utf-8")
        write_certificate(self.certificate, self._key)
        self._write_credentials()
        (self.directory / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDITED), encoding="utf-8")
        kwok_config = self.directory / "kwok.yaml"
        kwok_config.write_text(manifests.kwok_configuration(self.bad_images, self.pods_log_directory), encoding="utf-8")
        self.processes = [
            self._process("etcd", *self._etcd()),
            self._process("kube-apiserver", *self._api_server()),
            self._process("kube-controller-manager", *self._controller_manager()),
            self._process("kube-scheduler", *self._scheduler()),
            self._process("kwok", *self._kwok(kwok_config)),
        ]
        etcd, api, *_ = self.processes
        etcd.start()
        api.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait for the API server, then for everything that works through it.

        Raises:
            ServerFailed: a part ended or was not ready in time.

        """
        _, api, controllers, scheduler, kwok = self.processes
        api.wait_ready(self._api_answers("/livez/ping"), timeout)
        for process in (controllers, scheduler):
            process.start()
        api.wait_ready(self._api_answers("/readyz/poststarthook/crd-informer-synced"), timeout)
        manifests.apply_logs_definition(self.kubeconfig)
        kwok.start()
        api.wait_ready(self._api_answers("/readyz"), timeout)
        kwok.wait_ready(probes.http(f"http://{LOOPBACK}:{self._ports['kwok']}/healthz"), timeout)
        controllers.wait_ready(
            probes.http(f"https://{LOOPBACK}:{self._ports['controllers']}/healthz", ca=self.certificate), timeout
        )
        scheduler.wait_ready(
            probes.http(f"https://{LOOPBACK}:{self._ports['scheduler']}/healthz", ca=self.certificate), timeout
        )

    def stop(self) -> None:
        """Stop all parts, clients first."""
        for process in reversed(self.processes):
            process.stop()

    def _api_answers(self, path: str) -> probes.Probe:
        return probes.http(f"{self.url}{path}", ca=self.certificate, token=self._token)

    def _process(self, program: str, *arguments: str) -> ServerProcess:
        return ServerProcess(
            name=program,
            directory=self.directory,
            argv=[binaries.find(program), *arguments],
            env=_GO_ENV,
            stop_signal=signal.SIGKILL,  # the next start begins with an empty etcd: nothing is worth a farewell
        )

    def _write_credentials(self) -> None:
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self._token},sandbox-admin,sandbox-admin,"system:masters"\n', encoding="utf-8")
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "admin"}}],
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")

    def _etcd(self) -> tuple[str, ...]:
        client = f"http://{LOOPBACK}:{self._ports['etcd']}"
        peer = f"http://{LOOPBACK}:{self._ports['peer']}"
        return (
            "--name=sandbox",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=sandbox={peer}",
            "--unsafe-no-fsync",  # a sandbox's cluster need not survive a power cut
            "--log-level=warn",
            # Alone it need not wait long for other candidates. It wakes at each heartbeat, for nobody: at 10 ms that is
            # half of what an idle cluster costs.
            "--heartbeat-interval=100",
            "--election-timeout=500",
        )

    def _api_server(self) -> tuple[str, ...]:
        return (
            f"--etcd-servers=http://{LOOPBACK}:{self._ports['etcd']}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self._ports['api']}",
            f"--tls-cert-file={self.certificate}",
            f"--tls-private-key-file={self._key}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
            "--profiling=false",
            f"--audit-policy-file={self.directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        )

    def _serving(self, port: str) -> tuple[str, ...]:
        return (
            f"--kubeconfig={self.kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._ports[port]}",
            f"--tls-cert-file={self.certificate}",
            f"--tls-private-key-file={self._key}",
            "--leader-elect=false",
            "--profiling=false",
            *_UNLIMITED_QPS,
        )

    def _controller_manager(self) -> tuple[str, ...]:
        return (*self._serving("controllers"), f"--controllers={_CONTROLLERS}")

    def _scheduler(self) -> tuple[str, ...]:
        return self._serving("scheduler")

    def _kwok(self, config: Path) -> tuple[str, ...]:
        return (
            f"--kubeconfig={self.kubeconfig}",
            f"--config={config}",
            "--manage-all-nodes",
            f"--node-ip={LOOPBACK}",
            f"--node-port={self._ports['kwok']}",
            f"--server-address={LOOPBACK}:{self._ports['kwok']}",
            "--node-lease-duration-seconds=40",
            "--enable-crds=Logs",
        )
