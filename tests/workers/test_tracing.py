"""Traces reach a collector by OTLP, from the webhook to the call outside, and say nothing that they must not."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import tomli_w
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from temporalio.worker import Replayer

import records_schema
from bench.production import alert
from sandbox.ports import free_port
from sandbox.probes import http as ready
from sandbox.probes import wait_until
from tests.plugins.patience import HANGS
from tests.replay.replaying import FILES, history
from tests.workers.wired import KUBECONFIG
from workers.clients import connect
from workers.converter import DATA_CONVERTER
from workers.interceptors import RunbookInterceptor
from workers.registry import procedure
from workers.runner import runner
from workers.settings import ObservabilitySettings, TemporalSettings
from workers.tracing import interceptors as traced
from workers.tracing import tracing
from workflows.incident_response.p1_incident import P1Incident

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TOKEN, ROUTING_KEY, QUERY = "webhook-token-of-the-test", "0123456789abcdef0123456789abcdef", "in-the-query"
POSTED = json.loads(alert("shop").replace(b"answers no requests", b"words of the alert"))


@dataclass
class Collector:
    """An OTLP receiver over HTTP, and whatever else is asked by the runbooks: healthy services, a pager."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    @property
    def spans(self) -> list[tuple[str, Span]]:
        found = []
        for body in self.raw:
            for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {one.key: one.value.string_value for one in of_process.resource.attributes}
                found += [(names["service.name"], span) for scope in of_process.scope_spans for span in scope.spans]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    state = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                state.raw.append(body)
            else:
                state.pages.append(json.loads(body))
                state.headers += [name.lower() for name in self.headers]
            self.send_response(202 if "enqueue" in self.path else 200)
            self.end_headers()
            self.wfile.write(b'{"status": "success"}' if "enqueue" in self.path else b"")

        def do_GET(self) -> None:
            state.headers += [name.lower() for name in self.headers]
            self.send_response(503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@dataclass
class Processes:
    """Ours, whose settings name the collector."""

    settings: Path
    webhook: str
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, module: str) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "RUNBOOKS_CONFIG": str(self.settings)}
        with self.settings.with_name(f"{module}.log").open("wb") as log:
            self.running.append(subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=ROOT, stderr=log))
        return self.running[-1]


@pytest.fixture
def processes(collector: Collector, temporal_address: str, postgres_url: str, tmp_path: Path) -> Iterator[Processes]:
    records_schema.migrate(postgres_url)
    here, port = f"http://127.0.0.1:{collector.port}", free_port()
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    rule = {"match": {"alertname": "TensafeServerDown"}, "procedure": "p1-incident"}
    (tmp_path / "routes.toml").write_text(tomli_w.dumps({"route": [rule]}))
    settings = {
        "temporal": {"address": temporal_address, "task_queue": f"tracing-{uuid4().hex[:6]}"},
        "records": {"url": postgres_url},
        "kubernetes": {"kubeconfig": str(tmp_path / "kubeconfig")},
        "prometheus": {"url": "http://127.0.0.1:1"},
        "paging": {"backend": "pagerduty", "routing_key": ROUTING_KEY, "base_url": here},
        "observability": {"otlp_endpoint": here},
        "webhook": {"port": port, "bearer_tokens": [TOKEN], "routes": str(tmp_path / "routes.toml")},
        "services": {
            "shop": {
                "namespace": "shop",
                "deployment": "shop",
                "selector": "app=shop",
                "health_url": f"{here}/health?token={QUERY}",
            }
        },
    }
    (tmp_path / "runbooks.toml").write_text(tomli_w.dumps(settings))
    found = Processes(tmp_path / "runbooks.toml", f"http://127.0.0.1:{port}")
    yield found
    for process in found.running:
        process.kill()
        process.wait()


async def test_a_trace_goes_from_the_webhook_to_the_call_outside(
    collector: Collector, processes: Processes, temporal_address: str
) -> None:
    webhook, worker = processes.start("starters.webhook"), processes.start("workers")
    await asyncio.to_thread(wait_until, ready(f"{processes.webhook}/readyz"))
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(
            f"{processes.webhook}/webhooks/alertmanager", json=POSTED, headers={"Authorization": f"Bearer {TOKEN}"}
        )
    assert answer.status_code == 202, answer.text
    run = answer.json()["alerts"][0]
    await asyncio.to_thread(wait_until, lambda: bool(collector.pages))
    client = await connect(TemporalSettings(address=temporal_address))
    handle = client.get_workflow_handle(run["workflow_id"], run_id=run["run_id"])
    await handle.terminate()
    for process in (webhook, worker):
        process.terminate()
        assert process.wait(HANGS) == 0

    paths = [path(collector.spans, span) for _, span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]
    assert [
        ("webhook", "request"),
        ("webhook", "SignalWithStartWorkflow:P1Incident"),
        ("worker", "StartActivity:paging.page"),
        ("worker", "RunActivity:paging.page"),
        ("worker", "POST 127.0.0.1"),
    ] in paths
    assert ("worker", "GET 127.0.0.1") in {each[-1] for each in paths}
    traces = {span.trace_id for _, span in collector.spans if span.name in {"request", "RunWorkflow:P1Incident"}}
    assert len(traces) == 1
    called = [dict(about(span)) for _, span in collector.spans if span.name == "POST 127.0.0.1"]
    assert called[0] == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": collector.port,
        "http.response.status_code": 202,
    }
    assert all(not span.status.message and not span.events for _, span in collector.spans)
    sent = b"".join(collector.raw)
    for secret in (TOKEN, ROUTING_KEY, QUERY, "words of the alert", "/health", "enqueue"):
        assert secret.encode() not in sent
    assert not {"traceparent", "tracestate", "baggage"} & set(collector.headers)
    # What was recorded while it was traced is replayed without it: another worker need not trace.
    await Replayer(
        workflows=[P1Incident],
        data_converter=DATA_CONVERTER,
        interceptors=[RunbookInterceptor()],
        workflow_runner=runner(sandbox=False),
    ).replay_workflow(await handle.fetch_history())


def test_what_failed_says_as_which_kind_of_error_and_no_word_of_it(collector: Collector) -> None:
    here = ObservabilitySettings(otlp_endpoint=f"http://127.0.0.1:{collector.port}")
    with tracing(here, "worker") as tracer:
        assert tracer is not None
        with suppress(KeyError), tracer.start_as_current_span("failing", attributes={"payload": "words of the alert"}):
            raise KeyError("words of the alert")
    ((process, span),) = collector.spans
    assert (process, span.name, span.status.code) == ("runbooks-worker", "failing", Status.STATUS_CODE_ERROR)
    assert about(span) == [("error.type", "KeyError")]
    assert b"words of the alert" not in collector.raw[0]


def test_a_collector_that_is_down_keeps_nobody_from_ending() -> None:
    began = time.monotonic()
    with tracing(ObservabilitySettings(otlp_endpoint="http://127.0.0.1:1"), "worker") as tracer:
        assert tracer is not None
        with tracer.start_as_current_span("one"):
            pass
    assert time.monotonic() - began < 10


def test_nothing_is_traced_unless_settings_say_so() -> None:
    with tracing(ObservabilitySettings(), "worker") as tracer:
        assert tracer is None


@pytest.mark.parametrize(
    "file", {file.stem.partition("-")[0]: file for file in FILES}.values(), ids=lambda file: file.stem
)
async def test_a_run_from_before_replays_while_it_is_traced(collector: Collector, file: Path) -> None:
    here = ObservabilitySettings(otlp_endpoint=f"http://127.0.0.1:{collector.port}")
    with tracing(here, "worker") as tracer:
        interceptors: list[Any] = [RunbookInterceptor(), *traced(tracer)]
        kind = procedure(file.stem.partition("-")[0]).workflow
        await Replayer(
            workflows=[kind],
            data_converter=DATA_CONVERTER,
            interceptors=interceptors,
            workflow_runner=runner(sandbox=False),
        ).replay_workflow(history(file))
    assert [span for _, span in collector.spans if "Activity" in span.name] == []


def path(spans: list[tuple[str, Span]], span: Span) -> list[tuple[str, str]]:
    """Give a span's process and name, after those of all above it."""
    by_id = {each.span_id: (process.removeprefix("runbooks-"), each) for process, each in spans}
    found = []
    while span.span_id in by_id:
        process, span = by_id[span.span_id]
        found.append((process, span.name))
        if span.parent_span_id not in by_id:
            break
        span = by_id[span.parent_span_id][1]
    return found[::-1]


def about(span: Span) -> list[tuple[str, str | int]]:
    return [
        (one.key, one.value.string_value if one.value.HasField("string_value") else one.value.int_value)
        for one in span.attributes
    ]
