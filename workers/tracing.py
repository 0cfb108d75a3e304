"""Traces by OpenTelemetry: one from the webhook's request through the run and its steps to each call outside.

Off unless settings name a collector. A span says what kind of thing was done, when, how long it took and whether it
failed; of a call outside: the method, the host and the status. It has no payload, no path, no query and no error's
text, since a collector is no place for what a history may not have (ARCHITECTURE, rule 10). Other systems get no header
of ours.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from temporalio.client import Interceptor

from libraries import httpx, kubernetes, otel, otel_export, otel_otlp, otel_resources, otel_sdk, otel_temporal
from workers.settings import ObservabilitySettings

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Asgi = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_OURS = {"temporalWorkflowID", "temporalRunID", "temporalActivityID"}
_OF_CALLS = {"http.request.method", "server.address", "server.port", "http.response.status_code", "error.type"}
_SECONDS = 3
"""A collector that is down keeps no process from ending for longer than a few of these."""


class _Lean:
    """An exporter that passes on what a span may say."""

    def __init__(self, exporter: "otel_export.SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[otel_sdk.ReadableSpan]") -> "otel_export.SpanExportResult":
        return self._exporter.export([_lean(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@contextmanager
def tracing(settings: ObservabilitySettings, process: str) -> "Iterator[otel.Tracer | None]":
    """Give what spans are made with, and send them until the context ends; None where settings name no collector.

    Credentials of the collector come from OpenTelemetry's own environment (`OTEL_EXPORTER_OTLP_HEADERS`), as do how
    many traces are kept (`OTEL_TRACES_SAMPLER`) and what is said of a process (`OTEL_RESOURCE_ATTRIBUTES`).
    """
    if settings.otlp_endpoint is None:
        yield None
        return
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    resource = otel_resources.Resource.create({"service.name": f"runbooks-{process}"})
    provider = otel_sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter: Any = _Lean(otel_otlp.OTLPSpanExporter(endpoint=endpoint, timeout=_SECONDS))
    provider.add_span_processor(otel_export.BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("runbooks")
    finally:
        provider.shutdown()


def interceptors(tracer: "otel.Tracer | None") -> list[Interceptor]:
    """Give what a client, and the workers made of it, trace runs with: headers of ours, and no command more."""
    if tracer is None:
        return []
    # Also runs that a schedule or the UI has started.
    return [otel_temporal.TracingInterceptor(tracer, always_create_workflow_spans=True)]


def requests(tracer: "otel.Tracer | None", app: _Asgi) -> _Asgi:
    """Give a server each of whose requests begins a trace."""
    if tracer is None:
        return app

    async def traced(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        with tracer.start_as_current_span(
            "request", kind=otel.SpanKind.SERVER, attributes={"http.request.method": scope["method"]}
        ) as span:

            async def answer(message: _Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await app(scope, receive, answer)

    return traced


def http_client(tracer: "otel.Tracer | None", client: "httpx.Client") -> "httpx.Client":
    """Let each of a client's requests be a span."""
    if tracer is not None:
        send = client.send

        def traced(request: "httpx.Request", **options: Any) -> "httpx.Response":
            with _call(tracer, request.method, str(request.url)) as told:
                response = send(request, **options)
                told(response.status_code)
                return response

        setattr(client, "send", traced)  # noqa: B010  a method of this one object
    return client


def cluster(tracer: "otel.Tracer | None", client: "kubernetes.ApiClient") -> "kubernetes.ApiClient":
    """Let each request to a cluster be a span."""
    if tracer is not None:
        rest: Any = client.rest_client
        send = rest.request

        def traced(method: str, url: str, *arguments: Any, **options: Any) -> Any:
            with _call(tracer, method, url) as told:
                response = send(method, url, *arguments, **options)
                told(response.status)
                return response

        rest.request = traced
    return client


@contextmanager
def _call(tracer: "otel.Tracer", method: str, url: str) -> Iterator[Callable[[int], None]]:
    at = urlsplit(url)
    about: dict[str, str | int] = {"http.request.method": method, "server.address": at.hostname or ""}
    if at.port is not None:
        about["server.port"] = at.port
    with tracer.start_as_current_span(f"{method} {at.hostname}", kind=otel.SpanKind.CLIENT, attributes=about) as span:
        yield lambda status: span.set_attribute("http.response.status_code", status)


def _lean(span: "otel_sdk.ReadableSpan") -> "otel_sdk.ReadableSpan":
    """Leave out what quotes: an exception's text and its trace, and whatever attribute is not known to be harmless."""
    kept = {name: value for name, value in (span.attributes or {}).items() if name in _OURS | _OF_CALLS}
    types = [str((event.attributes or {}).get("exception.type", "")) for event in span.events]
    if failed := [name for name in types if name]:
        kept["error.type"] = failed[-1]
    return otel_sdk.ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=kept,
        links=span.links,
        kind=span.kind,
        status=otel.Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
