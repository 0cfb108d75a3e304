"""The real servers of the crash harness, started once and shared by all its cases."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import records_schema
from sandbox import kubernetes_api, manifests
from sandbox.alertmanager import Alertmanager
from sandbox.aws import ENVIRONMENT, Aws
from sandbox.cluster import Cluster
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ServerProcess
from sandbox.prometheus import Prometheus
from sandbox.temporal import Temporal
from sandbox.toolchain import keda
from tests.crash.forks import Forks
from tests.crash.scenario import Servers
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        postgres = Postgres(directory / "postgresql")
        temporal = Temporal(directory / "temporal", SEARCH_ATTRIBUTES)
        cluster = Cluster(directory / "kubernetes")
        prometheus = Prometheus(directory / "prometheus", targets={})
        alertmanager = Alertmanager(directory / "alertmanager", webhook_url=f"http://{LOOPBACK}:{free_port()}")
        aws = Aws(directory / "aws")
        mail = MailServer(directory / "mail")
        forks = Forks(directory / "forks")
        everything = (forks, postgres, temporal, cluster, prometheus, alertmanager, aws, mail)
        for server in everything:
            server.start()
            stack.callback(server.remove if isinstance(server, Postgres | Temporal) else server.stop)
        for server in everything:
            server.wait_ready()
        manifests.apply_nodes(cluster.kubeconfig, keda_definition=keda.definition())
        _enlarge_nodes(cluster.kubeconfig)
        node_groups = ServerProcess(
            name="node-groups",
            directory=directory / "node-groups",
            argv=[
                *(sys.executable, "-m", "sandbox.node_groups"),
                *("--kubeconfig", cluster.kubeconfig, "--endpoint", aws.url, "--every", "2"),
            ],
        )
        node_groups.start()
        stack.callback(node_groups.stop)
        # The workers that the cases start inherit our environment, and with it what opens AWS.
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        records = postgres.create_database("records")
        records_schema.migrate(records)
        yield Servers(
            temporal=temporal.address,
            records=records,
            kubeconfig=cluster.kubeconfig,
            prometheus=prometheus.url,
            alertmanager=alertmanager.url,
            aws=aws.url,
            mail=mail,
            forks=forks,
            directory=directory,
        )


def _enlarge_nodes(kubeconfig: Path) -> None:
    """Make the nodes carry the pods of many cases at a time."""
    resources = {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}
    patch = {"status": {"allocatable": resources, "capacity": resources}}
    with kubernetes_api.connect(kubeconfig) as api:
        for node in api.get("/api/v1/nodes").raise_for_status().json()["items"]:
            api.patch(
                f"/api/v1/nodes/{node['metadata']['name']}/status",
                json=patch,
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()
