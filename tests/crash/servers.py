"""The real servers of the crash harness, started once and shared by all its cases."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import database
from sandbox import manifests
from sandbox.aws import ENVIRONMENT, Aws
from sandbox.cluster import Cluster
from sandbox.mail_server import MailServer
from sandbox.postgres import Postgres
from sandbox.processes import ServerProcess
from sandbox.prometheus import Prometheus
from sandbox.temporal import Temporal
from sandbox.toolchain import keda
from tests.crash.scenario import Servers, python
from workflows.shared.search_attributes import SEARCH_ATTRIBUTES


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        postgres = Postgres(directory / "postgresql")
        temporal = Temporal(directory / "temporal", SEARCH_ATTRIBUTES)
        cluster = Cluster(directory / "kubernetes")
        prometheus = Prometheus(directory / "prometheus", targets={})
        aws = Aws(directory / "aws")
        mail = MailServer(directory / "mail")
        for server in (postgres, temporal, cluster, prometheus, aws, mail):
            server.start()
            stack.callback(server.stop)
        for server in (postgres, temporal, cluster, prometheus, aws, mail):
            server.wait_ready()
        manifests.apply_nodes(cluster.kubeconfig, keda_definition=keda.definition())
        node_groups = ServerProcess(
            name="node-groups",
            directory=directory / "node-groups",
            argv=[*python("sandbox.node_groups"), "--kubeconfig", cluster.kubeconfig, "--endpoint", aws.url],
        )
        node_groups.start()
        stack.callback(node_groups.stop)
        # The workers that the cases start inherit our environment, and with it what opens AWS.
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        records = postgres.create_database("records")
        database.migrate(records)
        yield Servers(
            temporal=temporal.address,
            records=records,
            kubeconfig=cluster.kubeconfig,
            prometheus=prometheus.url,
            aws=aws.url,
            mail=mail,
            directory=directory,
        )
