"""Our own side as in production: the webhook and a worker as processes, one settings file, one service a namespace."""

import http.client
import json
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import tomli_w

from bench.servers import Servers
from sandbox import probes
from sandbox.configuration import SERVICE, Configuration, Endpoints
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess


@dataclass(frozen=True)
class Accepted:
    """What the webhook answered about an alert."""

    workflow_id: str
    run_id: str
    outcome: str


class Webhook:
    """A client with a connection that stays open, as Alertmanager's does."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, body: bytes) -> Accepted:
        """Post one alert, and wait for the 202."""
        self._connection.request("POST", "/webhooks/alertmanager", body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != HTTPStatus.ACCEPTED:
            raise RuntimeError(f"the webhook answered {answer.status}: {text.decode(errors='replace')}")
        (taken,) = json.loads(text)["alerts"]
        return Accepted(taken["workflow_id"], taken["run_id"], taken["outcome"])

    def connect(self) -> None:
        """Connect anew: the webhook hangs up after some seconds of silence."""
        self._connection.close()
        self._connection.request("GET", "/healthz")
        self._connection.getresponse().read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def alert(service: str) -> bytes:
    """Give Alertmanager's body of an alert that has never fired before."""
    labels = {"alertname": "TensafeServerDown", "severity": "P1", "service": service}
    firing = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"{service} answers no requests", "description": "up == 0 for 1 s"},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": secrets.token_hex(8),
    }
    group = {
        "version": "4",
        "groupKey": '{}:{service="' + service + '"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "runbooks",
        "groupLabels": {"service": service},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": [firing],
    }
    return json.dumps(group).encode()


@dataclass(frozen=True)
class Service:
    """One service of the catalogue."""

    namespace: str
    health_url: str


class Production:
    """One settings file, and the processes that read it."""

    def __init__(
        self,
        servers: Servers,
        name: str,
        services: Mapping[str, Service],
        *,
        kubeconfig: Path,
        prometheus_url: str | None = None,
        sections: Mapping[str, Any] | None = None,
        policies: Mapping[str, Any] | None = None,
        sources: Mapping[str, Any] | None = None,
    ) -> None:
        self._servers, self._name = servers, name
        self.port = free_port()
        self.task_queue = f"bench-{name}"  # workers of other benchmarks live on the same Temporal
        nowhere = f"http://{LOOPBACK}:{free_port()}"  # for what nobody asks
        self._configuration = Configuration(servers.directory / name)
        self._configuration.write(
            Endpoints(
                temporal_address=servers.temporal.address,
                temporal_ui=servers.temporal.ui_url,
                records_url=servers.records,
                kubeconfig=kubeconfig,
                prometheus_url=prometheus_url or nowhere,
                alertmanager_url=nowhere,
                aws_url=nowhere,
                webhook_port=self.port,
                health_url=f"{nowhere}/health",
            )
        )
        settings: dict[str, Any] = tomllib.loads(self._configuration.file.read_text(encoding="utf-8"))
        settings["temporal"]["task_queue"] = self.task_queue
        del settings["worker"]  # as production works by default, not as the sandbox does
        like = settings["services"][SERVICE]
        settings["services"] = {
            service: {**like, "namespace": given.namespace, "health_url": given.health_url, **(policies or {})}
            for service, given in services.items()
        }
        settings["webhook"]["sources"] = dict(sources or {})
        settings.update(sections or {})
        self._configuration.file.write_text(tomli_w.dumps(settings), encoding="utf-8")

    def start_webhook(self) -> Webhook:
        """Start the webhook, and connect to it."""
        process = self._process("webhook", "starters.webhook")
        process.wait_ready(probes.http(f"http://{LOOPBACK}:{self.port}/readyz"))
        return Webhook(self.port, self._configuration.bearer_token.read_text(encoding="utf-8"))

    @property
    def file(self) -> Path:
        """The settings file."""
        return self._configuration.file

    def start_worker(
        self, module: str = "workers", name: str = "worker", environment: Mapping[str, str] | None = None
    ) -> ServerProcess:
        """Start one worker."""
        worker = self._process(name, module, environment=environment)
        worker.wait_ready(probes.log_line(worker.log, "worker started"))
        return worker

    def start_page(self) -> str:
        """Start the operators' page; gives a link that lets somebody in."""
        page = self._process("page", "starters", "web", "--link", "ada:on-call")
        page.wait_ready(probes.log_line(page.log, "/sign-in/"))
        return str(re.findall(r"http://\S+/sign-in/\S+", page.log.read_text(encoding="utf-8"))[-1])

    def _process(
        self, name: str, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> ServerProcess:
        env = {"RUNBOOKS_CONFIG": str(self._configuration.file), **(environment or {})}
        return self._servers.python(f"{self._name}-{name}", module, *arguments, env=env)
