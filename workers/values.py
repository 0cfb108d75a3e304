"""Values that a model takes and no run can work with, or that open what they should keep closed.

A string may be a URL, a selector or a key only by what is done with it; so each is tried here as it will be used,
before any run is. As in `workers.checks` these are no validators of the models, which read recorded histories as well.
"""

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from activities.catalogue.service import ApprovalPolicy, ReleasePolicy, Service
from audit.text import length
from workers.checks import Fault
from workers.sections import FileSecret

Loaded = Any
"""`workers.settings.Settings`, which calls this and can't be imported here."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)"
_KEY = rf"({_LABEL}/)?{_LABEL}"
_REQUIREMENT = re.compile(
    rf"\s*(!\s*{_KEY}|{_KEY}(\s*(==|=|!=)\s*{_LABEL}?|\s+(in|notin)\s*\(\s*{_LABEL}?(\s*,\s*{_LABEL}?)*\s*\))?)\s*"
)
"""One requirement of a label selector (kubernetes.io/docs/concepts/overview/working-with-objects/labels)."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]*):(\d{1,5})")
_HOST = re.compile(r"(\*\.)?([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_LONGEST_PORT = 65535
_LONGEST_VALID = timedelta(days=1)
"""A word that could be said for longer is no word of somebody who is there."""

_PAIRS = {")": "(", "]": "[", "}": "{"}


def value_faults(settings: Loaded) -> Iterator[Fault]:
    """Find them; in the order of the sections."""
    yield from _addresses(settings)
    yield from _keys(settings)
    yield from _approvals(settings.approvals)
    yield from _people(settings)
    yield from _databases(settings)
    yield from _apart(settings.services)
    for name, service in settings.services.items():
        yield from (Fault(("services", name, *place), what) for place, what in _service(service))


# -- sections ------------------------------------------------------------------------------------------------


def _addresses(settings: Loaded) -> Iterator[Fault]:
    urls = {
        ("temporal", "ui_url"): settings.temporal.ui_url,
        ("prometheus", "url"): settings.prometheus.url,
        ("alertmanager", "url"): settings.alertmanager.url,
        ("aws", "endpoint_url"): settings.aws.endpoint_url,
        ("ci", "base_url"): settings.ci.base_url,
        ("slack", "base_url"): settings.slack.base_url,
        ("paging", "base_url"): settings.paging.base_url,
        ("statuspage", "base_url"): settings.statuspage.base_url,
        ("handover", "base_url"): settings.handover.base_url,
        ("acme", "directory"): settings.acme.directory,
        ("acme", "look_at"): settings.acme.look_at,
        ("evidence", "endpoint_url"): settings.evidence.endpoint_url,
        ("audit", "endpoint_url"): settings.audit.endpoint_url,
    }
    for place, url in urls.items():
        if url is not None and (why := _no_url(url)):
            yield Fault(place, why)
    hosts = {
        ("temporal", "address"): settings.temporal.address,
        ("observability", "metrics_address"): settings.observability.metrics_address,
    }
    for place, address in hosts.items():
        found = _HOST_AND_PORT.fullmatch(address) if address is not None else None
        if address is not None and (found is None or int(found[2]) > _LONGEST_PORT):
            yield Fault(place, f"{address!r} is not HOST:PORT")
    for level in settings.paging.escalation_keys:
        if level < 1:
            yield Fault(("paging", "escalation_keys", str(level)), "no page has that level: the first is 1")


def _keys(settings: Loaded) -> Iterator[Fault]:
    for number, token in enumerate(settings.webhook.bearer_tokens):
        if _blank(token):
            yield Fault(("webhook", "bearer_tokens", number), "is empty: nobody's token would open")
    for user, password in settings.webhook.basic_auth.items():
        if _blank(password) or not user or ":" in user:
            what = "needs a name without a colon, and a password"
            yield Fault(("webhook", "basic_auth", user), what)
    for section, secret in (("gateway", settings.gateway.private_key), ("audit", settings.audit.private_key)):
        if secret is not None and not isinstance(secret, FileSecret) and _private(secret) is None:
            what = "not an Ed25519 private key in PEM; `runbooks keys generate` makes one"
            yield Fault((section, "private_key"), what)
    yield from _public(("audit", "public_keys"), settings.audit.public_keys)
    mine = settings.gateway.private_key
    key = None if mine is None or isinstance(mine, FileSecret) else _private(mine)
    if key is not None and settings.approvals.public_keys:
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        if public not in settings.approvals.public_keys:
            what = f"every run refuses what it signs: approvals.public_keys has not its public key, {public}"
            yield Fault(("gateway", "private_key"), what)


def _approvals(approvals: ApprovalPolicy) -> Iterator[Fault]:
    yield from _public(("approvals", "public_keys"), approvals.public_keys)
    valid = approvals.signature_valid_for
    if not timedelta(0) < valid <= _LONGEST_VALID:
        yield Fault(
            ("approvals", "signature_valid_for"), f"{length(valid)} is not between 0 and {length(_LONGEST_VALID)}"
        )
    for kind, roles in approvals.roles.items():
        for number, role in enumerate(roles):
            if role != role.strip() or not role:
                yield Fault(("approvals", "roles", kind, number), f"{role!r} is nobody's role")


def _people(settings: Loaded) -> Iterator[Fault]:
    """Find names that are none, and roles that are a known one mistyped; others only start, and may."""
    known = {role for roles in settings.approvals.roles.values() for role in roles}
    for user, someone in settings.slack.people.items():
        if not someone.who.strip():
            yield Fault(("slack", "people", user, "who"), "is empty: their words would be nobody's")
        for number, role in enumerate(someone.roles):
            yield from _role(("slack", "people", user, "roles", number), role, known)
    for group, roles in settings.slack.groups.items():
        for number, role in enumerate(roles):
            yield from _role(("slack", "groups", group, number), role, known)
    for section, found in (("people", settings.web.people), ("groups", settings.web.groups)):
        for role, names in found.items():
            yield from _role(("web", section, role), role, known)
            for number, name in enumerate(names):
                if not name.strip():
                    yield Fault(("web", section, role, number), "is empty: it names nobody")


def _role(place: tuple[str | int, ...], role: str, known: set[str]) -> Iterator[Fault]:
    if not role.strip():
        yield Fault(place, "is empty: it is no role")
    elif role not in known and (meant := difflib.get_close_matches(role, known, n=1, cutoff=0.8)):
        yield Fault(place, f"nothing asks for the role {role!r}: is {meant[0]!r} meant?")


def _databases(settings: Loaded) -> Iterator[Fault]:
    """Find databases and servers that are nowhere; a process that is given none of them knows nothing of them."""
    for name, service in settings.services.items():
        if service.database is None:
            continue
        place = ("services", name, "database")
        if all(server.spare for server in service.database.servers.values()):
            yield Fault((*place, "servers"), "all are spare: one has to have the data")
        if not settings.databases:
            continue
        there = settings.databases.get(service.database.name)
        if there is None:
            what = f"there is no [databases.{service.database.name}]. There are: {', '.join(settings.databases)}"
            yield Fault((*place, "name"), what)
            continue
        for server in service.database.servers:
            if server not in there.servers:
                what = f"[databases.{service.database.name}.servers] has: {', '.join(there.servers)}"
                yield Fault((*place, "servers", server), what)


def _apart(services: Mapping[str, Service]) -> Iterator[Fault]:
    """Find two services that are one: their runs would undo each other, each with a hold of its own."""
    first: dict[tuple[str, str, str], str] = {}
    for name, service in services.items():
        for what, mine in (
            ("deployment", service.deployment),
            ("hpa", service.hpa),
            ("scaled_object", service.scaled_object),
        ):
            if mine and (other := first.setdefault((service.namespace, what, mine), name)) != name:
                yield Fault(("services", name, what), f"{service.namespace}/{mine} is that of services.{other} already")


# -- one service ---------------------------------------------------------------------------------------------


def _service(service: Service) -> Iterator[Fault]:
    names = {
        ("namespace",): service.namespace,
        ("deployment",): service.deployment,
        ("hpa",): service.hpa,
        ("scaled_object",): service.scaled_object,
    }
    for place, name in names.items():
        if name is not None and not _NAME.fullmatch(name):
            yield Fault(place, f"{name!r} is no name of Kubernetes: small letters, digits, - and .")
    if why := _no_selector(service.selector, "pod of the namespace"):
        yield Fault(("selector",), why)
    if why := _no_url(service.health_url):
        yield Fault(("health_url",), why)
    for field in ("on_call", "channel", "status_component"):
        if not getattr(service, field).strip():
            yield Fault((field,), "is empty: nobody would hear of anything")
    for number, channel in enumerate(service.stakeholders):
        if not channel.strip():
            yield Fault(("stakeholders", number), "is empty")
    yield from _queries(service)
    yield from _thresholds(service)
    yield from _parts(service)
    if service.release is not None:
        yield from _release(service.release)


def _queries(service: Service) -> Iterator[Fault]:
    queries = {("metrics", name): getattr(service.metrics, name) for name in type(service.metrics).model_fields}
    if service.gpu is not None:
        queries["gpu", "utilisation"] = service.gpu.utilisation
    for place, query in queries.items():
        if isinstance(query, str) and not _closed(query):
            yield Fault(place, "is no PromQL: a bracket or a quote is not closed, or there is nothing in it")


def _thresholds(service: Service) -> Iterator[Fault]:
    incident, degradation, scaling = service.incident, service.degradation, service.scaling
    if "scale_to" in incident.model_fields_set and incident.scale_to > scaling.max_replicas:
        what = f"{incident.scale_to} is above scaling.max_replicas, {scaling.max_replicas}"
        yield Fault(("incident", "scale_to"), what)
    most = length(degradation.watch_for)
    if degradation.better_for > degradation.watch_for:
        what = f"{length(degradation.better_for)} is longer than watch_for, {most}: nothing is ever better"
        yield Fault(("degradation", "better_for"), what)
    if degradation.watch_every > degradation.watch_for:
        what = f"{length(degradation.watch_every)} is longer than watch_for, {most}"
        yield Fault(("degradation", "watch_every"), what)


def _parts(service: Service) -> Iterator[Fault]:
    if service.gpu is not None and (why := _no_selector(service.gpu.selector, "node")):
        yield Fault(("gpu", "selector"), why)
    for label, value in service.window.silence.items():
        if not label.strip() or not value.strip():
            what = "is empty: Alertmanager would silence every alert without that label, of all services"
            yield Fault(("window", "silence", label), what)
    for number, test in enumerate(service.recovery.tests):
        if why := _no_url(test.url):
            yield Fault(("recovery", "tests", number, "url"), why)
    if service.certificates is not None:
        for number, served in enumerate(service.certificates.served):
            if not _HOST.fullmatch(_ascii(served.host)):
                yield Fault(("certificates", "served", number, "host"), f"{served.host!r} is no name of a host")


def _release(release: ReleasePolicy) -> Iterator[Fault]:
    if not release.chart.strip():
        yield Fault(("release", "chart"), "is empty: there is nothing to release")
    if release.repository is not None and not _REPOSITORY.fullmatch(release.repository):
        yield Fault(("release", "repository"), f"{release.repository!r} is not OWNER/NAME")
    for number, hours in enumerate(release.off_peak):
        if not hours.days or hours.start == hours.end:
            yield Fault(("release", "off_peak", number), "never comes: it needs days, and an end that is no start")


# -- what a text is ------------------------------------------------------------------------------------------


def _no_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        fine = False
    return "" if fine and not re.search(r"\s", text) else f"{text!r} is no URL: http://… or https://…"


def _no_selector(text: str, everything: str) -> str:
    if not text.strip():
        return f"is empty: that would be every {everything}"
    # Commas inside of brackets belong to their requirement.
    parts = re.split(r",(?![^()]*\))", text)
    wrong = [part.strip() for part in parts if not _REQUIREMENT.fullmatch(part)]
    return f"{', '.join(map(repr, wrong))} is no label selector, such as app=api or tier in (web, api)" if wrong else ""


def _closed(query: str) -> bool:
    """Tell whether brackets and quotes are closed; comments and strings are left out."""
    bare = re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'|`[^`]*`|#[^\n]*", "", query)
    open_: list[str] = []
    for one in bare:
        if one in _PAIRS.values():
            open_.append(one)
        elif one in _PAIRS and (not open_ or open_.pop() != _PAIRS[one]):
            return False
    return bool(query.strip()) and not open_ and not set(bare) & set("\"'`")


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return ""


def _blank(secret: SecretStr) -> bool:
    return not isinstance(secret, FileSecret) and not secret.get_secret_value().strip()


def _private(secret: SecretStr) -> Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(secret.get_secret_value().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _public(place: tuple[str, ...], keys: tuple[str, ...]) -> Iterator[Fault]:
    made: Callable[[bytes], Ed25519PublicKey] = Ed25519PublicKey.from_public_bytes
    for number, key in enumerate(keys):
        try:
            made(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            yield Fault((*place, number), "is no Ed25519 public key in base64, so no signature fits it")
