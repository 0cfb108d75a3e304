"""The real servers of the crash harness, started once and shared by all its cases."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import database
from sandbox import manifests
from sandbox.cluster import Cluster
from sandbox.postgres import Postgres
from sandbox.prometheus import Prometheus
from sandbox.temporal import Temporal
from sandbox.toolchain import keda
from tests.crash.scenario import Servers
from workflows.shared.search_attributes import SEARCH_ATTRIBUTES


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        postgres = Postgres(directory / "postgresql")
        temporal = Temporal(directory / "temporal", SEARCH_ATTRIBUTES)
        cluster = Cluster(directory / "kubernetes")
        prometheus = Prometheus(directory / "prometheus", targets={})
        for server in (postgres, temporal, cluster, prometheus):
            server.start()
            stack.callback(server.stop)
        for server in (postgres, temporal, cluster, prometheus):
            server.wait_ready()
        manifests.apply_nodes(cluster.kubeconfig, keda_definition=keda.definition())
        records = postgres.create_database("records")
        database.migrate(records)
        yield Servers(
            temporal=temporal.address,
            records=records,
            kubeconfig=cluster.kubeconfig,
            prometheus=prometheus.url,
            directory=directory,
        )
