"""Real servers for benchmarks: each starts when a benchmark first asks for it, and ends with the run."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import records_schema
from sandbox import manifests, probes
from sandbox.cluster import Cluster
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ServerProcess
from sandbox.prometheus import Prometheus
from sandbox.temporal import Temporal
from sandbox.toolchain import keda
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES


class _Server(Protocol):
    def start(self) -> None: ...
    def wait_ready(self) -> None: ...
    def stop(self) -> None: ...


class Servers:
    """The servers of one run, in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _up(self, server: _Server) -> None:
        server.start()
        self._stack.callback(server.stop)
        server.wait_ready()

    @cached_property
    def records(self) -> str:
        """The URL of the records' database."""
        server = Postgres(self.directory / "postgresql")
        self._up(server)
        url = server.create_database("records")
        records_schema.migrate(url)
        return url

    @cached_property
    def temporal(self) -> Temporal:
        """Temporal with our search attributes."""
        server = Temporal(self.directory / "temporal", SEARCH_ATTRIBUTES)
        self._up(server)
        return server

    @cached_property
    def mail(self) -> MailServer:
        """A mail server that keeps what it takes in a Maildir."""
        server = MailServer(self.directory / "mail")
        self._up(server)
        return server

    @cached_property
    def kubeconfig(self) -> Path:
        """A cluster with three nodes."""
        server = Cluster(self.directory / "kubernetes")
        self._up(server)
        manifests.apply_nodes(server.kubeconfig, keda_definition=keda.definition())
        return server.kubeconfig

    def prometheus(self, name: str, targets: Mapping[str, str]) -> Prometheus:
        """Start a Prometheus of a benchmark's own."""
        server = Prometheus(self.directory / name, targets=targets)
        self._up(server)
        return server

    def service(
        self, name: str, namespace: str, *, kubeconfig: Path | None = None, port: int | None = None
    ) -> tuple[ServerProcess, str]:
        """Install the sandbox's service in a namespace; gives the process that answers for it, and its health's URL."""
        cluster, at = kubeconfig or self.kubeconfig, port or free_port()
        health = f"http://{LOOPBACK}:{at}/health"
        manifests.apply_service(cluster, namespace)
        process = self.python(
            name,
            "sandbox.service",
            "--kubeconfig",
            cluster,
            "--namespace",
            namespace,
            "--port",
            at,
            "--logs",
            self.directory / "pod-logs" / namespace,
            "--requests-per-second",
            1,
        )
        process.wait_ready(probes.http(health))
        return process, health

    def python(self, name: str, module: str, *arguments: object, env: Mapping[str, str] | None = None) -> ServerProcess:
        """Start one of our own processes as production does; it may be stopped before the run ends."""
        process = ServerProcess(
            name=name,
            directory=self.directory / name,
            argv=[sys.executable, "-m", module, *(str(argument) for argument in arguments)],
            env=env or {},
            stop_timeout=15.0,
        )
        process.start()
        self._stack.callback(process.stop)
        return process
