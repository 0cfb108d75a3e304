"""The whole embedded environment: real servers, the service, the webhook and two workers, started side by side."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client

import database
from sandbox import aws, binaries, customers, kubernetes_api, manifests, node_groups, probes
from sandbox.alertmanager import Alertmanager
from sandbox.aws import Aws
from sandbox.cluster import Cluster
from sandbox.configuration import NAMESPACE, SERVICE, TASK_QUEUE, Configuration, Endpoints
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ServerProcess, end_leftovers
from sandbox.prometheus import Prometheus
from sandbox.service_database import ServiceDatabase
from sandbox.temporal import Temporal
from sandbox.toolchain import keda
from starters import schedules
from workers.converter import DATA_CONVERTER
from workflows.shared.search_attributes import SEARCH_ATTRIBUTES

Told = Callable[[str], None]
"""Hears what has become ready, a sentence at a time."""

_DATABASE = "runbooks"


class Environment:
    """All parts of one sandbox in one directory; several may run side by side in directories of their own.

    `start` begins with empty servers. The servers' own objects are there to be stopped, killed and restarted.
    """

    def __init__(self, directory: Path, *, workers: int = 2) -> None:
        self.directory = directory.resolve()
        self.configuration = Configuration(self.directory)
        self._service_port, self.webhook_port, self._handover_port = free_port(), free_port(), free_port()
        self.health_url = f"http://{LOOPBACK}:{self._service_port}/health"
        self.service_url = f"http://{LOOPBACK}:{self._service_port}"
        self.webhook_url = f"http://{LOOPBACK}:{self.webhook_port}"
        self.handover_url = f"http://{LOOPBACK}:{self._handover_port}"
        self.postgres = Postgres(self.directory / "postgresql")
        self.temporal = Temporal(self.directory / "temporal", SEARCH_ATTRIBUTES)
        self.cluster = Cluster(self.directory / "kubernetes")
        self.alertmanager = Alertmanager(
            self.directory / "alertmanager",
            webhook_url=f"{self.webhook_url}/webhooks/alertmanager",
            bearer_file=self.configuration.bearer_token,
        )
        self.prometheus = Prometheus(
            self.directory / "prometheus",
            targets={SERVICE: f"{LOOPBACK}:{self._service_port}"},
            rules=manifests.alert_rules(),
            alertmanager=self.alertmanager.address,
        )
        self.aws = Aws(self.directory / "aws")
        self.mail = MailServer(self.directory / "mail")
        self.service_database = ServiceDatabase(self.directory / "database")
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
        self.workers = [self._python(f"worker-{number}", "workers") for number in range(1, workers + 1)]

    @property
    def restartable(self) -> list[ServerProcess]:
        """What keeps nothing of its own, and so can simply be started again when it dies."""
        ours = [self.service, self.node_groups, self.webhook, self.handover, *self.workers]
        # The database's machines start its servers again that ran, as machines do.
        return [*self.service_database.processes, *ours]

    @property
    def processes(self) -> list[ServerProcess]:
        """Every process, in the order of their start."""
        servers = (
            self.postgres, self.temporal, self.cluster, self.aws, self.mail, self.prometheus, self.alertmanager,
        )  # fmt: skip
        return [*(process for server in servers for process in server.processes), *self.restartable]

    @property
    def links(self) -> dict[str, str]:
        """What a person may want to open."""
        return {
            "Temporal UI": self.temporal.ui_url,
            # Built from source, Prometheus has no web pages; its API is there in any case.
            "Prometheus": f"{self.prometheus.url}/api/v1/alerts",
            "Alertmanager": f"{self.alertmanager.url}/api/v2/alerts",
            "AWS": f"{self.aws.url}/moto-api/",
            "service": self.health_url,
            "webhook": self.webhook_url,
            "customers' links": f"{self.handover_url}/handover/…",
            "mails": self.mail.mails.as_uri(),
        }

    def start(self, told: Told = lambda _: None) -> None:
        """Start everything with empty servers and wait until all of it is ready.

        Raises:
            ServerFailed: a part ended or was not ready in time; nothing keeps running then.

        """
        end_leftovers(self.directory)
        for name in ("evidence", *(process.name for process in self.restartable)):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        binaries.ensure(told=told)
        self.configuration.write(self._endpoints())
        try:
            self._start_all(told)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, those who use a server before the server."""
        for group in (
            [self.webhook, self.handover, *self.workers],
            [*self.alertmanager.processes, *self.prometheus.processes, self.service, self.node_groups],
            [*self.temporal.processes, *self.aws.processes, *self.mail.processes],
        ):
            for process in group:
                process.ask_to_stop()
            for process in group:
                process.stop()
        self.cluster.stop()
        self.service_database.stop()
        self.postgres.stop()

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

        # Submitted after what they need, so a waiting stage never takes the thread of one it waits for.
        with ThreadPoolExecutor(max_workers=8) as pool:
            records = stage("PostgreSQL with the records' schema", self._start_postgres)
            temporal = stage("Temporal with its Web UI", self._start_temporal)
            cluster = stage("Kubernetes with three nodes", self._start_cluster)
            eks = stage("AWS with an EKS node group", self._start_aws)
            mail = stage("a mail server", self._start_mail)
            data = stage("the service's database with a replica and Barman", self._start_service_database)
            service = stage(f"{SERVICE} v1.2.3, three replicas", self._start_service, cluster, data)
            stages = [
                # Not before the service: that it isn't there yet is no outage.
                stage("Prometheus and Alertmanager", self._start_monitoring, service),
                stage("two GPU nodes", self._start_node_groups, cluster, eks),
                stage("webhook and workers", self._start_ours, records, temporal, cluster, mail),
            ]
            for done in (records, temporal, cluster, eks, mail, data, service, *stages):
                done.result()
        self.service_database.begin_backup()

    def _start_postgres(self) -> None:
        self.postgres.start()
        self.postgres.wait_ready()
        records = self.postgres.create_database(_DATABASE)
        database.migrate(records)
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

    def _start_service_database(self) -> None:
        self.service_database.start()
        self.service_database.wait_ready()

    def _start_node_groups(self) -> None:
        self.node_groups.start()
        with kubernetes_api.connect(self.cluster.kubeconfig) as api:
            self.node_groups.wait_ready(lambda: node_groups.ready(api, aws.NODE_GROUP) == aws.DESIRED)

    def _start_service(self) -> None:
        manifests.apply_secrets(self.cluster.kubeconfig, NAMESPACE, self.service_database.secrets())
        self.service.start()
        manifests.apply_service(self.cluster.kubeconfig, NAMESPACE)
        self.service.wait_ready(probes.http(self.health_url))

    def _start_monitoring(self) -> None:
        self.alertmanager.start()
        self.prometheus.start()
        self.alertmanager.wait_ready()
        self.prometheus.wait_ready()

    def _start_ours(self) -> None:
        for process in (self.webhook, self.handover, *self.workers):
            process.start()
        self.webhook.wait_ready(probes.http(f"{self.webhook_url}/readyz"))
        self.handover.wait_ready(probes.http(f"{self.handover_url}/healthz"))
        asyncio.run(self._start_schedules())
        for worker in self.workers:
            worker.wait_ready(probes.log_line(worker.log, "worker started"))

    async def _start_schedules(self) -> None:
        # While the workers are starting: it costs nobody any time.
        client = await Client.connect(self.temporal.address, data_converter=DATA_CONVERTER)
        await schedules.apply(client, self.configuration.audit, self.configuration.services, TASK_QUEUE)

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
            aws_url=self.aws.url,
            webhook_port=self.webhook_port,
            health_url=self.health_url,
            mail_port=self.mail.port,
            handover_url=self.handover_url,
            database=self.service_database,
        )
