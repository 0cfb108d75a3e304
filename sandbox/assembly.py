"""The embedded environment: real servers, the service, the webhook and two workers, started side by side."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox import aws, binaries, kubernetes_api, manifests, probes
from sandbox.alertmanager import Alertmanager
from sandbox.aws import Aws
from sandbox.certificate_authority import CertificateAuthority
from sandbox.cluster import Cluster
from sandbox.configuration import HOST, NAMESPACE, SERVICE, TASK_QUEUE, TLS_SECRET, Configuration, Endpoints, Tls
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ServerProcess, end_leftovers
from sandbox.prometheus import Prometheus
from sandbox.service_database import ServiceDatabase
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import TemporalOnPostgres
from sandbox.toolchain import keda
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

Told = Callable[[str], None]
"""Hears what has become ready, a sentence at a time."""

TemporalKind = Literal["development", "postgresql"]
_TEMPORAL: dict[TemporalKind, type[Temporal | TemporalOnPostgres]] = {
    "development": Temporal,
    "postgresql": TemporalOnPostgres,
}
_DATABASE = "runbooks"


class Environment:
    """All parts of one sandbox in one directory; several may run side by side in directories of their own.

    `start` begins with empty servers. The servers' own objects are there to be stopped, killed and restarted.

    Args:
        directory: For everything.
        workers: How many.
        temporal: Its development server, or the server of production on PostgreSQL.
        whole: Else only what an alert, its P1 incident and the archive take: no AWS, no mail, no page behind links, no
            database of the service's own, and no Helm, which is not needed to have something that can be rolled back.

    """

    def __init__(
        self, directory: Path, *, workers: int = 2, whole: bool = True, temporal: TemporalKind = "development"
    ) -> None:
        self.directory = directory.resolve()
        self.whole = whole
        self.configuration = Configuration(self.directory)
        self._service_port, self.webhook_port, self._handover_port = free_port(), free_port(), free_port()
        self._tls_port, self._tls_metrics_port = free_port(), free_port()
        self.health_url = f"http://{LOOPBACK}:{self._service_port}/health"
        self.service_url = f"http://{LOOPBACK}:{self._service_port}"
        self.webhook_url = f"http://{LOOPBACK}:{self.webhook_port}"
        self.handover_url = f"http://{LOOPBACK}:{self._handover_port}"
        self.tls_url = f"http://{LOOPBACK}:{self._tls_metrics_port}"
        self.postgres = Postgres(self.directory / "postgresql")
        self.temporal = _TEMPORAL[temporal](self.directory / "temporal", SEARCH_ATTRIBUTES)
        self._programs = [
            *(binaries.SANDBOX if whole else binaries.DEMO),
            *(binaries.TEMPORAL_ON_POSTGRES if temporal == "postgresql" else ()),
        ]
        self.cluster = Cluster(self.directory / "kubernetes")
        self.alertmanager = Alertmanager(
            self.directory / "alertmanager",
            webhook_url=f"{self.webhook_url}/webhooks/alertmanager",
            bearer_file=self.configuration.bearer_token,
        )
        self.prometheus = Prometheus(
            self.directory / "prometheus",
            targets={SERVICE: f"{LOOPBACK}:{self._service_port}"}
            | ({"certificates": f"{LOOPBACK}:{self._tls_metrics_port}"} if whole else {}),
            rules=manifests.alert_rules(),
            alertmanager=self.alertmanager.address,
        )
        self.aws = Aws(self.directory / "aws")
        self.mail = MailServer(self.directory / "mail")
        self.service_database = ServiceDatabase(self.directory / "database")
        self.authority = CertificateAuthority(self.directory / "authority")
        self._roots = self.directory / "authority" / "roots.pem"
        self.node_groups = self._python(
            "node-groups",
            *("sandbox.node_groups", "--kubeconfig", self.cluster.kubeconfig, "--endpoint", self.aws.url),
        )
        self.service = self._python(
            "service",
            *("sandbox.service", "--kubeconfig", self.cluster.kubeconfig),
            *("--port", self._service_port, "--logs", self.cluster.pods_log_directory),
        )
        self.webhook = self._python("webhook", "starters.webhook")
        self.handover = self._python("handover", "starters", "handover-server", "--port", self._handover_port)
        self.challenges = self._python("challenges", "starters", "challenge-server", "--port", self.authority.http_port)
        self.tls = self._python(
            "tls",
            *("sandbox.tls_service", "--kubeconfig", self.cluster.kubeconfig, "--secret", TLS_SECRET),
            *("--host", HOST, "--port", self._tls_port, "--metrics-port", self._tls_metrics_port),
            *("--authority", self.authority.root_file, "--roots", self._roots),
        )
        self.workers = [self._python(f"worker-{number}", "workers") for number in range(1, workers + 1)]

    @property
    def restartable(self) -> list[ServerProcess]:
        """What keeps nothing of its own, and so can simply be started again when it dies."""
        if not self.whole:
            return [self.service, self.webhook, *self.workers]
        ours = [self.service, self.node_groups, self.tls, self.webhook, self.handover, self.challenges, *self.workers]
        # The database's machines start its servers again that ran, as machines do.
        return [*self.service_database.processes, *ours]

    @property
    def processes(self) -> list[ServerProcess]:
        """Every process, in the order of their start."""
        others = (self.aws, self.mail, self.authority) if self.whole else ()
        servers = (self.postgres, self.temporal, self.cluster, *others, self.prometheus, self.alertmanager)
        return [*(process for server in servers for process in server.processes), *self.restartable]

    @property
    def links(self) -> dict[str, str]:
        """What a person may want to open."""
        links = {
            "Temporal UI": self.temporal.ui_url,
            # Built from source, Prometheus has no web pages; its API is there in any case.
            "Prometheus": f"{self.prometheus.url}/api/v1/alerts",
            "Alertmanager": f"{self.alertmanager.url}/api/v2/alerts",
            "service": self.health_url,
            "webhook": self.webhook_url,
        }
        if self.whole:
            links |= {
                "AWS": f"{self.aws.url}/moto-api/",
                "customers' links": f"{self.handover_url}/handover/…",
                "mails": self.mail.mails.as_uri(),
                "certificates": f"{self.tls_url}/metrics",
            }
        return links

    def start(self, told: Told = lambda _: None) -> None:
        """Start everything with empty servers and wait until all of it is ready.

        Raises:
            ServerFailed: a part ended or was not ready in time; nothing keeps running then.

        """
        end_leftovers(self.directory)
        for name in ("evidence", *(process.name for process in self.restartable)):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        binaries.ensure(self._programs, told)
        self.configuration.write(self._endpoints())
        try:
            self._start_all(told)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, those who use a server before the server; side by side what may end so."""
        ours = [self.webhook, self.handover, self.challenges, *self.workers]
        users = [*ours, self.tls, self.service, self.node_groups]
        for process in users:
            process.ask_to_stop()
        for process in users:
            process.stop()
        servers = (
            self.temporal,
            self.cluster,
            self.alertmanager,
            self.prometheus,
            self.aws,
            self.mail,
            self.postgres,
            self.service_database,
            self.authority,
        )
        with ThreadPoolExecutor(max_workers=len(servers)) as pool:
            ends = [pool.submit(server.stop) for server in servers]
        for end in ends:
            end.result()

    @contextmanager
    def running(self, told: Told = lambda _: None) -> Iterator["Environment"]:
        """Start, and stop at the end."""
        self.start(told)
        try:
            yield self
        finally:
            self.stop()

    def _start_all(self, told: Told) -> None:
        def stage(name: str, work: Callable[[], None], *needs: Future[None]) -> Future[None]:
            def run() -> None:
                for need in needs:
                    need.result()
                begun = time.monotonic()
                work()
                told(f"{name} ({time.monotonic() - begun:.1f} s)")

            return pool.submit(run)

        # Submitted after what they need, so a waiting stage never takes the thread of one it waits for. What others
        # wait for longest comes first: two cores are busy from here on.
        with ThreadPoolExecutor(max_workers=10) as pool:
            cluster = stage("Kubernetes with three nodes", self._start_cluster)
            temporal = stage("Temporal with its Web UI", self._start_temporal)
            records = stage("PostgreSQL with the records' schema", self._start_postgres)
            others = []
            if self.whole:
                data = stage("the service's database with a replica and Barman", self._start_service_database)
                service = stage(f"{SERVICE} v1.2.3, three replicas", self._start_service, cluster, data)
                mail = stage("a mail server", self._start_mail)
                eks = stage("AWS with an EKS node group", self._start_aws)
                tls = stage("a certificate authority, and TLS of the service", self._start_tls, cluster)
                others = [data, mail, eks, tls, stage("two GPU nodes", self._start_node_groups, cluster, eks)]
            else:
                service = stage(f"{SERVICE} v1.2.3, three replicas", self._start_service_alone, cluster)
            ours = stage("webhook and workers", self._start_ours, temporal)
            # Not before the service: that it isn't there yet is no outage.
            monitoring = stage("Prometheus and Alertmanager", self._start_monitoring, service)
            for done in (cluster, temporal, records, service, *others, ours, monitoring):
                done.result()
        if self.whole:
            self.service_database.begin_backup()

    def _start_postgres(self) -> None:
        import records_schema  # noqa: PLC0415 - with Alembic; other parts are starting meanwhile
        from sandbox import customers  # noqa: PLC0415

        self.postgres.start()
        self.postgres.wait_ready()
        records = self.postgres.create_database(_DATABASE)
        records_schema.migrate(records)
        customers.enter(records)

    def _start_temporal(self) -> None:
        self.temporal.start()
        self.temporal.wait_ready()

    def _start_cluster(self) -> None:
        self.cluster.start()
        self.cluster.wait_ready()
        manifests.apply_nodes(self.cluster.kubeconfig, keda_definition=keda.definition())

    def _start_aws(self) -> None:
        self.aws.start()
        self.aws.wait_ready()

    def _start_mail(self) -> None:
        self.mail.start()
        self.mail.wait_ready()

    def _start_tls(self) -> None:
        self.authority.start()
        self.authority.wait_ready()
        manifests.apply_secrets(self.cluster.kubeconfig, NAMESPACE, {})
        self.tls.start()
        self.tls.wait_ready(probes.http(f"{self.tls_url}/metrics"))

    def _start_service_database(self) -> None:
        self.service_database.start()
        self.service_database.wait_ready()

    def _start_node_groups(self) -> None:
        from sandbox import node_groups  # noqa: PLC0415 - with boto3; other parts are starting meanwhile

        self.node_groups.start()
        with kubernetes_api.connect(self.cluster.kubeconfig) as api:
            self.node_groups.wait_ready(lambda: node_groups.ready(api, aws.NODE_GROUP) == aws.DESIRED)

    def _start_service(self) -> None:
        manifests.apply_secrets(self.cluster.kubeconfig, NAMESPACE, self.service_database.secrets())
        self.service.start()
        manifests.apply_service(self.cluster.kubeconfig, NAMESPACE)
        self.service.wait_ready(probes.http(self.health_url))

    def _start_service_alone(self) -> None:
        self.service.start()
        manifests.apply_service_plainly(self.cluster.kubeconfig, NAMESPACE)
        self.service.wait_ready(probes.http(self.health_url))

    def _start_monitoring(self) -> None:
        self.alertmanager.start()
        self.prometheus.start()
        self.alertmanager.wait_ready()
        self.prometheus.wait_ready()

    def _start_ours(self) -> None:
        pages = [self.handover, self.challenges] if self.whole else []
        for process in (self.webhook, *pages, *self.workers):
            process.start()
        self.webhook.wait_ready(probes.http(f"{self.webhook_url}/readyz"))
        if self.whole:
            self.handover.wait_ready(probes.http(f"{self.handover_url}/healthz"))
            self.challenges.wait_ready(probes.tcp(self.authority.http_port))
            asyncio.run(self._start_schedules())
        for worker in self.workers:
            worker.wait_ready(probes.log_line(worker.log, "worker started"))

    async def _start_schedules(self) -> None:
        # While the workers are starting: it costs nobody any time.
        from temporalio.client import Client  # noqa: PLC0415

        from starters import schedules  # noqa: PLC0415
        from workers.converter import DATA_CONVERTER  # noqa: PLC0415

        client = await Client.connect(self.temporal.address, data_converter=DATA_CONVERTER)
        of = self.configuration
        await schedules.apply(client, of.audit, of.services, TASK_QUEUE, of.directory)

    def _python(self, name: str, module: str, *arguments: object) -> ServerProcess:
        return ServerProcess(
            name=name,
            directory=self.directory / name,
            argv=[sys.executable, "-m", module, *(str(argument) for argument in arguments)],
            env={"RUNBOOKS_CONFIG": str(self.configuration.file), **aws.ENVIRONMENT},
            stop_timeout=15.0,
        )

    def _endpoints(self) -> Endpoints:
        return Endpoints(
            temporal_address=self.temporal.address,
            temporal_ui=self.temporal.ui_url,
            records_url=self.postgres.url(_DATABASE),
            kubeconfig=self.cluster.kubeconfig,
            prometheus_url=self.prometheus.url,
            alertmanager_url=self.alertmanager.url,
            aws_url=self.aws.url,
            webhook_port=self.webhook_port,
            health_url=self.health_url,
            mail_port=self.mail.port if self.whole else 0,
            handover_url=self.handover_url if self.whole else "",
            database=self.service_database if self.whole else None,
            tls=Tls(self._tls_port, self._roots, self.authority) if self.whole else None,
        )
