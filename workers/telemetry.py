"""Logs and metrics of a process: structlog as JSON lines on stderr, Temporal's own metrics for Prometheus."""

import logging
import sys
from typing import Any

import structlog
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from audit.text import shown, visible
from workers.settings import ObservabilitySettings

_LINES = {"exception", "stack"}
"""What has lines of its own."""


def configure_logging(settings: ObservabilitySettings) -> None:
    """Send structlog and the standard library's loggers through one chain of processors."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if settings.log_format == "console" else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _readable,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("httpx", "httpcore", "urllib3", "botocore", "kubernetes"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _readable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Make every text of a line safe: it may quote an alert, and a terminal obeys what it finds."""
    return {_line(str(name)): shown(str(value)) if name in _LINES else _safe(value) for name, value in event.items()}


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return _line(value)
    if isinstance(value, dict):
        return {_line(str(name)): _safe(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_safe(inner) for inner in value]
    return value


def _line(text: str) -> str:
    # Without line breaks: what follows one would look like another line of the log.
    return visible(shown(text))


def runtime(settings: ObservabilitySettings) -> Runtime | None:
    """Give Temporal's runtime a Prometheus endpoint, where settings name one."""
    if settings.metrics_address is None:
        return None
    return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=settings.metrics_address)))
