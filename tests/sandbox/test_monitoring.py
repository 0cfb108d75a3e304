"""What Prometheus sees, Alertmanager tells: fired and resolved, within seconds, with our bearer token."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import manifests
from sandbox.alertmanager import Alertmanager
from sandbox.probes import wait_until
from sandbox.prometheus import Prometheus


@dataclass
class Receiver:
    """A webhook, and a service whose metrics a test can change."""

    port: int = 0
    up: int = 1
    saturation: float = 0.5
    gpu: float = 0.4
    posts: list[dict[str, Any]] = field(default_factory=list)
    authorization: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            for name, value in (("up", state.up), ("saturation", state.saturation), ("gpu_utilisation", state.gpu)):
                self.wfile.write(f'service_{name}{{service="tensafe-server"}} {value}\n'.encode())

        def do_POST(self) -> None:
            state.authorization = self.headers["Authorization"]
            state.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()


def test_an_alert_fires_and_resolves(
    receiver: Receiver,
    tmp_path: Path,
    start_alertmanager: Callable[..., Alertmanager],
    start_prometheus: Callable[..., Prometheus],
) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret")
    alertmanager = start_alertmanager(webhook_url=f"http://127.0.0.1:{receiver.port}/hook", bearer_file=token)
    prometheus = start_prometheus(
        targets={"tensafe-server": f"127.0.0.1:{receiver.port}"},
        rules=manifests.alert_rules(),
        alertmanager=alertmanager.address,
    )

    def sees(value: str) -> bool:
        answer = httpx.get(f"{prometheus.url}/api/v1/query", params={"query": "service_up"}).json()
        return [series["value"][1] for series in answer["data"]["result"]] == [value]

    wait_until(lambda: sees("1"))
    receiver.up = 0
    wait_until(lambda: receiver.posts != [])
    (alert,) = receiver.posts[0]["alerts"]
    assert receiver.authorization == "Bearer a-secret"
    assert receiver.posts[0]["status"] == "firing"
    assert alert["labels"]["alertname"] == "TensafeServerDown"
    assert alert["labels"]["severity"] == "P1"
    assert alert["labels"]["service"] == "tensafe-server"
    receiver.up = 1
    wait_until(lambda: receiver.posts[-1]["status"] == "resolved")
    assert receiver.posts[-1]["groupKey"] == receiver.posts[0]["groupKey"]
    assert receiver.posts[-1]["alerts"][0]["fingerprint"] == alert["fingerprint"]


def test_saturation_fires_while_the_service_is_up(
    receiver: Receiver, tmp_path: Path, start_prometheus: Callable[..., Prometheus]
) -> None:
    prometheus = start_prometheus(
        targets={"tensafe-server": f"127.0.0.1:{receiver.port}"}, rules=manifests.alert_rules()
    )

    def firing() -> dict[str, str]:
        alerts = httpx.get(f"{prometheus.url}/api/v1/alerts").json()["data"]["alerts"]
        return {a["labels"]["alertname"]: a["labels"]["severity"] for a in alerts if a["state"] == "firing"}

    receiver.saturation, receiver.gpu = 1, 0.9
    wait_until(lambda: firing() == {"TensafeServerSaturated": "P2", "TensafeGpuSaturated": "P3"})
    receiver.up = 0
    wait_until(lambda: firing() == {"TensafeServerDown": "P1", "TensafeGpuSaturated": "P3"})
