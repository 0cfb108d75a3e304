"""The page "Your own service in ten minutes" is done as it stands there, for a service in a namespace of its own."""

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from docs.steps import ROOT
from sandbox import kubernetes_api
from sandbox.probes import wait_until
from tests.docs.blocks import blocks

PAGE = ROOT / "docs/adopting.md"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "api"}},
        "template": {
            "metadata": {"labels": {"app": "api"}},
            "spec": {"containers": [{"name": "api", "image": "registry.example/api:1.0.0"}]},
        },
    },
}


class _Answers(BaseHTTPRequestHandler):
    """The service's health, and what Prometheus says to a query."""

    def do_GET(self) -> None:
        query = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
        body = b'{"status": "ok"}' if self.path == "/health" else query
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def http() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def shop(kubeconfig: Path, kube: httpx.Client) -> Iterator[str]:
    """A namespace with a service that nobody here has ever heard of."""
    name = f"shop-{secrets.token_hex(4)}"
    deployment = {**DEPLOYMENT, "metadata": {"name": "api", "namespace": name}}
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, deployment])
    at = f"/apis/apps/v1/namespaces/{name}/deployments/api"
    wait_until(lambda: kube.get(at).json().get("status", {}).get("readyReplicas") == 1)
    yield name
    kube.delete(f"/api/v1/namespaces/{name}").raise_for_status()


@pytest.fixture
def real(temporal_address: str, postgres_url: str, kubeconfig: Path, shop: str, http: str) -> dict[str, str]:
    """What the page calls otherwise → what it is here."""
    return {
        "temporal.internal:7233": temporal_address,
        "file:/run/secrets/records_url": postgres_url,
        '"kubeconfig"': json.dumps(str(kubeconfig)),
        "http://prometheus.internal:9090": http,
        "http://api.shop.svc:8080": http,
        "--namespace shop": f"--namespace {shop}",
    }


@pytest.mark.timeout(900)
def test_the_page_works_as_written(tmp_path: Path, real: dict[str, str], shop: str, kube: httpx.Client) -> None:
    def as_it_is_here(text: str) -> str:
        for written, here in real.items():
            text = text.replace(written, here)
        return text

    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOKS_", "TEMPORAL_"))},
        "PYTHONPATH": str(ROOT),
        # Other tests' runs are in the same Temporal.
        "RUNBOOKS_TEMPORAL__TASK_QUEUE": f"q-{shop}",
        "COLUMNS": "200",
    }

    def done(line: str) -> str:
        words = shlex.split(line, comments=True)
        module = ["-m", "starters", *words[1:]] if words[0] == "runbooks" else words[1:]
        ran = subprocess.run(
            [sys.executable, *module],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    shell = [as_it_is_here(block) for block in blocks(PAGE, "")]
    _, beginning, checking, working, running = (block.splitlines() for block in shell)
    toml, routes = (as_it_is_here(block) for block in blocks(PAGE, "toml"))

    for line in beginning:
        printed = done(line)
    with (tmp_path / "runbooks.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + toml.replace("…", printed.strip()))
    (tmp_path / "routes.toml").write_text(routes, encoding="utf-8")

    told = [done(line) for line in checking]
    assert re.search(r"✓\s+records .*✓\s+Kubernetes .*✓\s+Prometheus", told[1], re.DOTALL), told[1]
    assert "no worker yet" in told[1]
    assert "api: 1 of 1 ready" in told[2]
    assert "p1-incident" in told[3]

    (line,) = working
    with (tmp_path / "worker.log").open("w", encoding="utf-8") as log:
        worker = subprocess.Popen(
            [sys.executable, *shlex.split(line)[1:]], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        try:
            replicas = f"/apis/apps/v1/namespaces/{shop}/deployments/api"
            for line, expected in zip(running, (1, 2, 2), strict=True):
                said = done(line)
                assert kube.get(replicas).json()["spec"]["replicas"] == expected, said
        finally:
            worker.terminate()
            worker.wait(120)
