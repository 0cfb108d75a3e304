"""The client libraries of outside systems, each imported when something first asks it for something.

A command, a webhook and a worker's start import the procedures and activities for what they say: names, requests,
results. The clients beneath cost more than all the rest together (Kubernetes' half a second, AWS' a third), and nothing
of them is needed before a step acts. So no module of ours imports them at its top; it takes them from here:

    from libraries import psycopg

    psycopg.connect(…)   # imported now, unless somebody was earlier

Annotations that name them stand in quotes, since Python would look them up. Any thread may be the first: Python's own
lock sees to it that a module is imported once, and whoever comes second waits for it.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3
    import email_validator
    import httpx
    import icalendar
    import jinja2
    import josepy.jwa
    import josepy.jwk
    import josepy.util
    import jsonpath
    import psycopg.conninfo
    import psycopg.rows
    import psycopg.types.json
    import requests
    import structlog
    import urllib3
    import yaml
    from acme import challenges as acme_challenges
    from acme import client as acme_client
    from acme import errors as acme_errors
    from acme import messages as acme_messages
    from botocore import config as aws_config
    from botocore import exceptions as aws_errors
    from cryptography import x509
    from cryptography.x509 import ocsp
    from kubernetes import client as kubernetes
    from kubernetes import config as kubernetes_config
    from kubernetes.utils import quantity as kubernetes_quantity
    from OpenSSL import SSL as openssl  # noqa: N811  modules have small names
    from opentelemetry import trace as otel
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as otel_otlp
    from opentelemetry.sdk import resources as otel_resources
    from opentelemetry.sdk import trace as otel_sdk
    from opentelemetry.sdk.trace import export as otel_export
    from psycopg import pq, sql
    from temporalio.contrib import opentelemetry as otel_temporal

__all__ = [
    "acme_challenges",
    "acme_client",
    "acme_errors",
    "acme_messages",
    "aws_config",
    "aws_errors",
    "boto3",
    "email_validator",
    "httpx",
    "icalendar",
    "jinja2",
    "josepy",
    "jsonpath",
    "kubernetes",
    "kubernetes_config",
    "kubernetes_quantity",
    "logger",
    "ocsp",
    "openssl",
    "otel",
    "otel_export",
    "otel_otlp",
    "otel_resources",
    "otel_sdk",
    "otel_temporal",
    "pq",
    "psycopg",
    "requests",
    "sql",
    "structlog",
    "uninterrupted",
    "urllib3",
    "x509",
    "yaml",
]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Import to the end, though the activity be cancelled meanwhile.

    A cancellation is an exception that Temporal throws into the activity's thread, wherever it is. In the middle of an
    import it would leave half a module behind, for as long as the worker lives.
    """
    activity = sys.modules.get("temporalio.activity")  # a command doesn't need it, and doesn't wait for it
    with activity.shield_thread_cancel_exception() if activity and activity.in_activity() else nullcontext():
        yield


class _Later(ModuleType):
    """Stands for a module until something of it is asked for, and goes on passing that on."""

    def __getattr__(self, name: str) -> Any:
        if self.__name__ in _WHOLE:
            return getattr(sys.modules[self.__name__], name)
        with uninterrupted():
            module = importlib.import_module(self.__name__)
        _WHOLE.add(self.__name__)
        return getattr(module, name)


_WHOLE: set[str] = set()
"""What has been imported to its end; `sys.modules` also has what somebody is just importing."""


if not TYPE_CHECKING:
    acme_challenges = _Later("acme.challenges")
    acme_client = _Later("acme.client")
    acme_errors = _Later("acme.errors")
    acme_messages = _Later("acme.messages")
    aws_config = _Later("botocore.config")
    aws_errors = _Later("botocore.exceptions")
    boto3 = _Later("boto3")
    email_validator = _Later("email_validator")
    httpx = _Later("httpx")
    icalendar = _Later("icalendar")
    jinja2 = _Later("jinja2")
    josepy = _Later("josepy")
    jsonpath = _Later("jsonpath")
    kubernetes = _Later("kubernetes.client")
    kubernetes_config = _Later("kubernetes.config")
    kubernetes_quantity = _Later("kubernetes.utils.quantity")
    ocsp = _Later("cryptography.x509.ocsp")
    openssl = _Later("OpenSSL.SSL")
    otel = _Later("opentelemetry.trace")
    otel_export = _Later("opentelemetry.sdk.trace.export")
    otel_otlp = _Later("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    otel_resources = _Later("opentelemetry.sdk.resources")
    otel_sdk = _Later("opentelemetry.sdk.trace")
    otel_temporal = _Later("temporalio.contrib.opentelemetry")
    pq = _Later("psycopg.pq")
    psycopg = _Later("psycopg")
    requests = _Later("requests")
    sql = _Later("psycopg.sql")
    structlog = _Later("structlog")
    urllib3 = _Later("urllib3")
    x509 = _Later("cryptography.x509")
    yaml = _Later("yaml")


class _Logger:
    """A module's logger, made when it first logs."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, level: str) -> Any:
        return getattr(structlog.get_logger(self._name), level)


def logger(name: str) -> "structlog.stdlib.BoundLogger":
    """Give a module's logger."""
    made: Any = _Logger(name)
    return made  # type: ignore[no-any-return]
