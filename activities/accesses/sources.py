"""Where accesses are read: the log of ingress-nginx, and whatever a service's database keeps (runbook 8.1 step 5).

Neither gives more than an access has: what follows a path's `?` may be somebody's token, and is left out.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from temporalio import activity

from activities.accesses.access import Access
from activities.catalogue.security import AccessPolicy
from activities.common.errors import Misconfigured
from activities.common.heartbeat import pause
from activities.database.servers.servers import Databases
from activities.kubernetes import states
from activities.kubernetes.api import Object, failures, pages, said
from audit.text import counted
from libraries import kubernetes, psycopg, urllib3

_CHUNK_BYTES = 64 * 1024
_LONGEST_LINE = 1024 * 1024
_TIMEOUT = (2, 10)
_STATEMENT = timedelta(minutes=5)
_FETCHED = 5000

_LINE = re.compile(
    rb'(?P<address>\S+) - (?P<who>[^"\[]*) \[(?P<at>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) \d+ '
    rb'"[^"]*" "[^"]*" \d+ [\d.]+ \[(?P<upstream>[^\]]*)\]'
)
"""ingress-nginx's own format (its documentation, "Log format"); nginx writes a quote within as \\x22."""

_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}


@dataclass(frozen=True)
class Sought:
    """Whose accesses, and of which time."""

    service: str
    namespace: str
    policy: AccessPolicy
    since: datetime
    until: datetime
    unreadable: list[str] = field(default_factory=list)
    """What could not be read, in words; grows while they are read."""


class AccessSource(Protocol):
    """One place where accesses are kept."""

    def read(self, sought: Sought) -> Iterator[Access]:
        """Give them, in any order; some may be of another time."""


class IngressLog:
    """What ingress-nginx wrote of requests to a service's namespace; raises what `activities.kubernetes.api` does."""

    def __init__(self, core: "kubernetes.CoreV1Api") -> None:
        self._core = core

    def read(self, sought: Sought) -> Iterator[Access]:
        """Give them as far back as the nodes have kept the logs."""
        upstreams = self._upstreams(sought.namespace)
        policy, odd = sought.policy, 0
        listed = self._core.list_namespaced_pod
        pods = list(pages(listed, policy.controller_namespace, label_selector=policy.controller_selector))
        if not pods:
            sought.unreadable.append(f"no pod of {policy.controller_selector} in {policy.controller_namespace}")
        for pod in pods:
            for container, previous in _logs(pod):
                for line in self._lines(pod, container, sought, previous=previous):
                    found = _LINE.match(line)
                    if found is None:
                        odd += b'" ' in line  # what the controller says of itself has none
                    elif found["upstream"] in upstreams:
                        yield _access(found)
        if odd:
            sought.unreadable.append(f"{counted(odd, 'line')} of another format than ingress-nginx's own")

    def _upstreams(self, namespace: str) -> set[bytes]:
        """Give ingress-nginx's names of the Services of a namespace: NAMESPACE-SERVICE-PORT."""
        return {
            f"{namespace}-{service['metadata']['name']}-{port[name]}".encode()
            for service in pages(self._core.list_namespaced_service, namespace)
            for port in service["spec"].get("ports") or ()
            for name in ("port", "name")
            if port.get(name)
        }

    def _lines(self, pod: Object, container: str, sought: Sought, *, previous: bool) -> Iterator[bytes]:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        about = f"{name}, {container}{', the run before' if previous else ''}"
        seconds = max(int((sought.until - sought.since).total_seconds()), 1)
        with failures():
            try:
                answer: Any = self._core.read_namespaced_pod_log(
                    name,
                    namespace,
                    container=container,
                    previous=previous,
                    since_seconds=seconds,
                    _preload_content=False,
                    _request_timeout=_TIMEOUT,
                )
            except kubernetes.ApiException as error:
                # The pod has gone, its node doesn't answer, or we may not: the other logs are worth reading.
                sought.unreadable.append(f"{about}: {said(error) or error.status}")
                return
        with closing(answer):
            try:
                yield from _split(answer.stream(_CHUNK_BYTES))
            except urllib3.exceptions.HTTPError as error:
                sought.unreadable.append(f"{about}: the log broke off ({type(error).__name__})")


class AccessQuery:
    """What an operator's query gives; raises what `Databases` does."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def read(self, sought: Sought) -> Iterator[Access]:
        """Give them, in a transaction that can only read.

        Raises:
            Misconfigured: the query gives other columns, or writes.

        """
        policy = sought.policy
        values = {"since": sought.since, "until": sought.until, "service": sought.service}
        with (
            self._databases.on_primary(policy.database, statement_timeout=_STATEMENT) as connection,
            connection.transaction(),
        ):
            connection.execute("SET TRANSACTION READ ONLY")
            with connection.cursor(name="accesses") as rows:
                rows.itersize = _FETCHED
                try:
                    rows.execute(policy.query.encode(), values)
                except psycopg.errors.ReadOnlySqlTransaction:
                    raise Misconfigured("query: it writes, and it may only read") from None
                except psycopg.errors.SyntaxError as error:
                    raise Misconfigured(f"query: {error.diag.message_primary}") from None
                except psycopg.ProgrammingError as error:
                    if error.diag.message_primary:
                        raise
                    raise Misconfigured(f"query: {error}") from None  # psycopg's own: a % that stands alone
                columns = {column.name for column in rows.description or ()}
                if not {"at", "address"} <= columns:
                    raise Misconfigured("query: it must give the columns at and address")
                for row in rows:
                    yield _of_row(row)


def _of_row(row: dict[str, Any]) -> Access:
    at, allowed = row["at"], row.get("allowed")
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise Misconfigured("query: at must be a timestamptz")
    if not isinstance(allowed, bool | None):
        raise Misconfigured("query: allowed must be a boolean")
    address, who, what = (str(value) if (value := row.get(name)) is not None else "" for name in _TEXTS)
    return Access(at=at, address=address, who=who, what=what, allowed=allowed)


_TEXTS = ("address", "who", "what")


def _access(found: re.Match[bytes]) -> Access:
    parts = {name: value.decode("utf-8", "replace") for name, value in found.groupdict().items()}
    status = int(parts["status"])
    method_and_path = parts["request"].rpartition(" HTTP/")[0] or parts["request"]
    allowed = False if status in _REFUSED else True if status < HTTPStatus.BAD_REQUEST else None
    return Access(
        at=_moment(parts["at"]),
        address=parts["address"],
        who="" if parts["who"] == "-" else parts["who"],
        what=f"{method_and_path.partition('?')[0]} {status}",
        allowed=allowed,
    )


@lru_cache(maxsize=1000)  # many lines are of one second
def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")


def _logs(pod: Object) -> Iterator[tuple[str, bool]]:
    """Give the containers that have a log, and whether it is that of the run before."""
    for state in states.containers(pod):
        if "terminated" in state.get("lastState", {}):
            yield state["name"], True
        yield state["name"], False


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give whole lines; one that never ends is given up."""
    rest = b""
    for chunk in chunks:
        activity.heartbeat()
        pause(0)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            rest = b""
    if rest:
        yield rest
