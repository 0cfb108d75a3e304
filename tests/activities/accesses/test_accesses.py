"""Accesses read from a real database and from logs that a real API server serves, and what is kept of them."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.accesses.accesses import Accesses, ReviewAccesses, ReviewedAccesses, Source
from activities.accesses.sources import AccessQuery, AccessSource, IngressLog
from activities.common.effects import is_effect
from activities.common.errors import Misconfigured, NotFound, Refused, Unavailable
from activities.evidence.evidence import Evidence
from activities.evidence.files import FileStore
from tests.activities.database.on_postgres import databases
from tests.activities.kubernetes.on_cluster import an_effect, eventually
from tests.servers import CreateDatabase

NOW = datetime.now(UTC).replace(microsecond=0)
QUERY = """
SELECT at, client AS address, person AS who, path AS what, ok AS allowed
FROM calls WHERE at >= %(since)s AND at < %(until)s
"""
SELECTOR = {"app": "controller"}
GUESSER = "8.8.8.8"


@dataclass
class Place:
    """A service's own log of calls, an ingress controller beside it, and the store."""

    kube: httpx.Client
    namespace: str
    calls: "psycopg.Connection[Any]"
    accesses: Accesses
    directory: Path

    def call(self, minutes: float, address: str, who: str = "", *, ok: bool | None = True) -> None:
        at = NOW - timedelta(minutes=minutes)
        self.calls.execute("INSERT INTO calls VALUES (%s, %s, %s, '/login', %s)", (at, address, who, ok))

    def log(self, pod: str, lines: list[str], before: list[str] | None = None) -> None:
        """Give a controller's pod a log, and one of the run before."""
        body = {
            "metadata": {"name": pod, "labels": SELECTOR},
            "spec": {"nodeName": self._node(), "containers": [{"name": "controller", "image": "controller:1"}]},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.kube.post(path, json=body).raise_for_status()
        eventually(lambda: self.kube.get(f"{path}/{pod}").json()["status"].get("containerStatuses"))
        files = {}
        for kind, texts in (("logsFile", lines), ("previousLogsFile", before or [])):
            files[kind] = self.directory / f"{pod}.{kind}"
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
            files[kind].write_text("".join(f"{stamp} stdout F {text}\n" for text in texts))
        document = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": self.namespace},
            "spec": {"logs": [{kind: str(file) for kind, file in files.items()}]},
        }
        kwok = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{self.namespace}/logs"
        self.kube.post(kwok, json=document).raise_for_status()
        if lines:
            eventually(lambda: lines[0] in self.kube.get(f"{path}/{pod}/log").text)
        if before:
            status = {"containerStatuses": self._crashed(f"{path}/{pod}")}
            merge = {"Content-Type": "application/merge-patch+json"}
            self.kube.patch(f"{path}/{pod}/status", headers=merge, json={"status": status}).raise_for_status()

    def _crashed(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kube.get(path).json()["status"]["containerStatuses"]
        moment = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"terminated": {"exitCode": 1, "startedAt": moment, "finishedAt": moment}}
        return [each | {"lastState": ended, "restartCount": 1} for each in found]

    def _node(self) -> str:
        return str(self.kube.get("/api/v1/nodes").json()["items"][0]["metadata"]["name"])

    def review(self, source: str = "database", **changes: Any) -> ReviewedAccesses:
        policy = changes.pop("policy", {})
        request = ReviewAccesses.model_validate(
            {
                "incident_id": "SEC-1",
                "service": "api",
                "namespace": self.namespace,
                "source": source,
                "policy": {
                    "controller_namespace": self.namespace,
                    "controller_selector": "app=controller",
                    "database": "tensafe",
                    "query": QUERY,
                    "often": 5,
                    **policy,
                },
                "until": NOW + timedelta(seconds=1),
                "last": timedelta(days=1),
                "effect": an_effect(),
                **changes,
            }
        )
        done: ReviewedAccesses = ActivityEnvironment().run(self.accesses.review, request)
        return done

    def kept(self, name: str) -> Path:
        return self.directory / "evidence" / "incidents" / "SEC-1" / name


@pytest.fixture
def place(  # noqa: PLR0917  a service, what is before it and beside it
    kube: httpx.Client,
    tensafe: str,
    cluster_api: client.ApiClient,
    http: httpx.Client,
    create_database: CreateDatabase,
    tmp_path: Path,
) -> Iterator[Place]:
    url = create_database()
    store = FileStore(tmp_path / "evidence")
    evidence = Evidence(store, cluster_api, http, "http://127.0.0.1:1")
    sources: dict[Source, AccessSource] = {
        "ingress": IngressLog(client.CoreV1Api(cluster_api)),
        "database": AccessQuery(databases(primary=url)),
    }
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    kube.post(f"/api/v1/namespaces/{tensafe}/services", json=service).raise_for_status()
    with psycopg.connect(url, autocommit=True) as calls:
        calls.execute("CREATE TABLE calls (at timestamptz, client inet, person text, path text, ok boolean)")
        yield Place(kube, tensafe, calls, Accesses(evidence, store, sources), tmp_path)


def line(minutes: float, address: str, *, status: int = 200, who: str = "-", upstream: str) -> str:
    """Write what ingress-nginx does."""
    at = (NOW - timedelta(minutes=minutes)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = '"POST /login?token=not-to-be-kept HTTP/1.1"'
    behind = f'"-" "curl/8 \\x22x\\x22" 83 0.004 [{upstream}] [] 10.0.0.7:8080 612 0.004 {status} 0f3c'
    return f"{address} - {who} [{at}] {request} {status} 153 {behind}"


def test_a_database(place: Place) -> None:
    assert is_effect(place.accesses.review)
    place.call(3 * 24 * 60, "203.0.113.7", "ada")
    for minute in range(10, 16):
        place.call(minute, GUESSER, "ada", ok=False)
    place.call(5, GUESSER, "ada")
    done = place.review()
    assert done.findings == {
        "guessed": 1,
        "refused address": 1,
        "refused name": 0,
        "new place": 1,
        "new address": 1,
    }
    assert done.suspects == [f"{GUESSER}/32"]
    assert done.after == "4 findings in 7 accesses, 1 known from before"
    document = json.loads(place.kept("access-review-database.json").read_text())
    assert document["findings"][0]["kind"] == "guessed"
    assert len(document["findings"][0]["rows"]) == 7
    rows = list(csv.DictReader(place.kept("access-review-database.csv").read_text().splitlines()))
    assert len(rows) == sum(len(each["rows"]) for each in document["findings"])
    assert {row["address"] for row in rows} == {GUESSER}
    assert place.kept("access-review-database.json").stat().st_mode & 0o077 == 0


def test_an_attempt_that_follows_tells_what_the_first_kept(place: Place) -> None:
    for minute in range(10, 16):
        place.call(minute, GUESSER, ok=False)
    effect = an_effect()
    first = place.review(effect=effect)
    place.kept("access-review-database.csv").unlink()  # as if it had died in between
    place.call(1, "1.1.1.1")
    again = place.review(effect=effect)
    assert (again.accesses, again.findings, again.document.sha256) == (
        first.accesses,
        first.findings,
        first.document.sha256,
    )
    assert again.rows.sha256 == first.rows.sha256
    other = place.review()  # another run of the same incident: both are kept
    assert (other.accesses, other.document.uri != first.document.uri) == (first.accesses + 1, True)


def test_a_plan_keeps_nothing(place: Place) -> None:
    place.call(5, GUESSER)
    assert place.review(effect=an_effect(dry_run=True)).accesses == 1
    assert not place.kept("access-review-database.json").exists()


@pytest.mark.parametrize(
    ("query", "failure", "says"),
    [
        ("SELECT at FROM calls", Misconfigured, "columns at and address"),
        ("SELECT at::timestamp AS at, client AS address FROM calls", Misconfigured, "timestamptz"),
        ("SELECT at, client AS address, 1 AS allowed FROM calls", Misconfigured, "allowed must be a boolean"),
        ("SELEC at FROM calls", Misconfigured, "syntax error"),
        ("SELECT at, client AS address FROM calls WHERE path LIKE '/%'", Misconfigured, "query:"),
        (
            "INSERT INTO calls (at) VALUES (now()) RETURNING at, client AS address",
            Misconfigured,
            "read|syntax",
        ),
        ("SELECT at, client AS address FROM cals", NotFound, "cals"),
        ("SELECT at, client AS address, 1 / 0 AS who FROM calls", Refused, "DivisionByZero"),
    ],
)
def test_a_query_that_can_not_be_meant(place: Place, query: str, failure: type[Exception], says: str) -> None:
    place.call(5, GUESSER)
    with pytest.raises(failure, match=says):
        place.review(policy={"query": query})
    assert place.calls.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    assert not place.kept("access-review-database.json").exists()


def test_hostile_texts_stay_texts(place: Place) -> None:
    for minute in range(6):
        place.call(minute, GUESSER, "=HYPERLINK(1)\x1b[2J" + "x" * 5000, ok=False)
    place.review()
    rows = list(csv.DictReader(place.kept("access-review-database.csv").read_text().splitlines()))
    assert rows[0]["who"].startswith("'=HYPERLINK")
    assert "\x1b" not in rows[0]["who"]
    assert len(rows[0]["who"]) < 300


def test_the_log_of_an_ingress_controller(place: Place) -> None:
    ours, others = f"{place.namespace}-web-80", "elsewhere-web-80"
    refused = [line(minute, GUESSER, status=401, upstream=ours) for minute in range(10, 14)]
    noise = [
        "I0602 10:00:00.000000       7 controller.go:190] Configuration changes detected",
        line(4, "1.1.1.1", upstream=others),
        line(4, "1.1.1.1", status=502, upstream=ours),
        '{"remote_addr": "1.1.1.1" "x"}" ',
    ]
    place.log("controller-1", [*noise, *refused], before=[line(20, GUESSER, status=403, upstream=ours)])
    place.log("controller-2", [line(5, GUESSER, upstream=f"{place.namespace}-web-http", who="ada")])
    done = place.review("ingress")
    assert done.accesses == 7  # without the others' one
    assert done.findings["guessed"] == 1
    assert done.not_judged == ["new place", "new address"]
    assert done.unreadable == ["1 line of another format than ingress-nginx's own"]
    document = place.kept("access-review-ingress.json").read_text()
    assert "not-to-be-kept" not in document
    row = json.loads(document)["findings"][0]["rows"][-1]
    assert (row["what"], row["who"], row["allowed"]) == ("POST /login 200", "ada", True)


def test_a_log_that_can_not_be_read_is_said_so(place: Place) -> None:
    assert place.review("ingress").unreadable == [f"no pod of app=controller in {place.namespace}"]
    place.log("controller-1", [line(5, GUESSER, upstream=f"{place.namespace}-web-80")])
    (place.directory / "controller-1.logsFile").unlink()
    done = place.review("ingress")
    assert done.accesses == 0
    assert "controller-1, controller" in done.unreadable[0]


def test_a_server_that_does_not_answer(place: Place) -> None:
    gone = AccessQuery(databases(primary="postgresql://nobody@127.0.0.1:1/none"))
    place.accesses = Accesses(place.accesses._evidence, place.accesses._store, {"database": gone})
    with pytest.raises(Unavailable):
        place.review()
