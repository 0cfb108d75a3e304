"""Evidence of a real cluster and a real Prometheus, kept in files and in S3 over real HTTP."""

import hashlib
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from zoneinfo import ZoneInfo

import boto3
import httpx
import icalendar
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities import pod_logs
from activities.backends.evidence_files import FileStore
from activities.backends.evidence_s3 import S3Store
from activities.effects import Effect, is_effect
from activities.errors import InvalidInput, Misconfigured, NotFound, Unavailable
from activities.evidence import (
    CollectLogs,
    Evidence,
    EvidenceStore,
    ExportMetrics,
    Invite,
    Kept,
    StoredEvidence,
    StoreDocument,
)
from activities.kubernetes_api import connect
from sandbox.prometheus import Prometheus
from tests.activities.on_cluster import BAD, OnCluster, an_effect, eventually

BUCKET = "evidence"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")


@pytest.fixture
def s3(s3_url: str, _credentials: None) -> Any:
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    return client


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    if request.param == "files":
        return FileStore(tmp_path / "evidence")
    request.getfixturevalue("s3")
    return S3Store(BUCKET, "/kept/", endpoint_url=request.getfixturevalue("s3_url"), region="us-east-1")


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), targets={})
    server.start()
    try:
        server.wait_ready()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def evidence(store: EvidenceStore, kubeconfig: Path, http: httpx.Client, prometheus: str) -> Iterator[Evidence]:
    with connect(kubeconfig) as api:
        yield Evidence(store, api, http, prometheus)


@pytest.fixture
def read(request: pytest.FixtureRequest) -> Any:
    """Read what a URI names, by other means than ours."""

    def content(uri: str) -> bytes:
        where = urlparse(uri)
        if where.scheme == "file":
            return Path(unquote(where.path)).read_bytes()
        found: bytes = request.getfixturevalue("s3").get_object(Bucket=where.netloc, Key=where.path[1:])["Body"].read()
        return found

    return content


def _document(content: str = "# Timeline\n", effect: Effect | None = None, **changes: Any) -> StoreDocument:
    values = {"incident_id": "INC-1", "name": "timeline.md", "content": content, "effect": effect or an_effect()}
    return StoreDocument(**(values | changes))


def test_all_are_effects():
    public = [name for name in vars(Evidence) if not name.startswith("_")]
    assert public == [name for name in public if is_effect(getattr(Evidence, name))]
    assert len(public) == 4


# -- keeping ----------------------------------------------------------------------------------------------


def test_a_document(evidence: Evidence, read: Any):
    content = "# Übersicht → 12:00\n"
    stored = evidence.store_document(_document(content))
    assert stored.uri.endswith("/incidents/INC-1/timeline.md")
    assert read(stored.uri) == content.encode()
    assert stored.sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert (stored.size, stored.applied) == (len(content.encode()), True)


def test_the_second_attempt_returns_what_the_first_has_stored(evidence: Evidence, read: Any):
    effect = an_effect()
    first = evidence.store_document(_document("first", effect))
    second = evidence.store_document(_document("second, of a later clock", effect))
    assert second == first.model_copy(update={"applied": False})
    assert read(first.uri) == b"first"


def test_another_effect_of_the_same_name_overwrites_nothing(evidence: Evidence, read: Any):
    effect = an_effect()
    first = evidence.store_document(_document("first"))
    other = evidence.store_document(_document("other", effect))
    assert other.uri != first.uri
    assert other.uri.endswith(".md")
    assert (read(first.uri), read(other.uri)) == (b"first", b"other")
    assert evidence.store_document(_document("again", effect)) == other.model_copy(update={"applied": False})


def test_a_plan_writes_nothing(evidence: Evidence, store: EvidenceStore):
    planned = evidence.store_document(_document("x", an_effect(dry_run=True)))
    assert not planned.applied
    assert planned.uri == store.uri("incidents/INC-1/timeline.md")
    assert planned.size == 1
    assert store.find("incidents/INC-1/timeline.md") is None


def test_an_attempt_thought_dead_that_is_first_after_all(evidence: Evidence, store: EvidenceStore, read: Any):
    """The race of two attempts: between our look and our write, the other one writes."""
    effect = an_effect()
    genuine = store.find
    raced: list[StoredEvidence] = []

    def look(key: str) -> Kept | None:
        found = genuine(key)
        if not raced:
            raced.append(StoredEvidence(uri="", sha256="", size=0))
            raced[0] = evidence.store_document(_document("the other's", effect))
        return found

    store.find = look  # type: ignore[method-assign]
    ours = evidence.store_document(_document("ours", effect))
    assert ours == raced[0].model_copy(update={"applied": False})
    assert read(ours.uri) == b"the other's"


@pytest.mark.parametrize("field", ["incident_id", "name"])
def test_names_stay_in_the_folder(tmp_path: Path, kubeconfig: Path, http: httpx.Client, field: str):
    root = tmp_path / "in" / "here"
    with connect(kubeconfig) as api:
        evidence = Evidence(FileStore(root), api, http, "http://127.0.0.1:1")

        @given(st.text(max_size=120) | st.text("./\\ab-\0%~", max_size=8))
        def stays(text: str) -> None:
            try:
                stored = evidence.store_document(_document(**{field: text}))
            except InvalidInput:
                return
            path = Path(unquote(urlparse(stored.uri).path))
            assert path.is_relative_to(root / "incidents")
            assert path.parent.parent == root / "incidents"
            assert not path.name.startswith(".")

        stays()
    assert {p.name for p in (tmp_path / "in").iterdir()} <= {"here"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", ".hidden", "", "a/b", "a\\b", "a\nb", "ü", "x" * 101])
def test_names_that_are_none(tmp_path: Path, kubeconfig: Path, http: httpx.Client, name: str):
    with connect(kubeconfig) as api:
        evidence = Evidence(FileStore(tmp_path), api, http, "http://127.0.0.1:1")
        with pytest.raises(InvalidInput, match=r"^InvalidInput: name: "):
            evidence.store_document(_document(name=name))
    assert list(tmp_path.iterdir()) == []


# -- the stores -------------------------------------------------------------------------------------------


def _kept(content: bytes) -> Kept:
    return Kept(uri="", sha256=hashlib.sha256(content).hexdigest(), size=len(content), effect="e", detail="1 line, ü")


def test_a_store_finds_what_it_keeps(store: EvidenceStore):
    assert store.find("incidents/a/b.txt") is None
    assert store.create("incidents/a/b.txt", BytesIO(b"content"), _kept(b"content"), "text/plain")
    assert not store.create("incidents/a/b.txt", BytesIO(b"other"), _kept(b"other"), "text/plain")
    found = store.find("incidents/a/b.txt")
    assert found is not None
    assert found.uri == store.uri("incidents/a/b.txt")
    assert (found.sha256, found.size, found.effect, found.detail) == (_kept(b"content").sha256, 7, "e", "1 line, ü")


def test_many_at_once_make_one(store: EvidenceStore):
    made: list[bool] = []

    def create(number: int) -> None:
        content = str(number).encode() * 1000
        made.append(store.create("incidents/a/b.txt", BytesIO(content), _kept(content), "text/plain"))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(True) == 1
    assert len(made) == 8


def test_no_half_written_file_is_left(tmp_path: Path):
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    store = FileStore(tmp_path)
    with pytest.raises(Unavailable, match="No space left"):
        store.create("incidents/a/b.txt", Broken(b"x"), _kept(b"x"), "text/plain")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_files_are_for_their_owner_alone(tmp_path: Path):
    FileStore(tmp_path).create("incidents/a/b.txt", BytesIO(b"x"), _kept(b"x"), "text/plain")
    for path in (tmp_path / "incidents" / "a").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "incidents" / "a")) == [".b.txt.json", "b.txt"]  # noqa: PTH208


def test_a_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "incidents").write_text("")
    with pytest.raises(Unavailable):
        FileStore(tmp_path).create("incidents/a/b.txt", BytesIO(b"x"), _kept(b"x"), "text/plain")


def test_s3_keeps_type_and_checksum(s3: Any, s3_url: str):
    store = S3Store(BUCKET, endpoint_url=s3_url, region="us-east-1")
    store.create("incidents/a/b.txt", BytesIO(b"x"), _kept(b"x"), "text/plain")
    head = s3.head_object(Bucket=BUCKET, Key="incidents/a/b.txt")
    assert head["ContentType"] == "text/plain"
    assert head["Metadata"]["sha256"] == _kept(b"x").sha256


def test_s3_without_the_bucket(s3: Any, s3_url: str):
    store = S3Store("none", endpoint_url=s3_url, region="us-east-1")
    assert store.find("a") is None
    with pytest.raises(NotFound, match="NoSuchBucket"):
        store.create("a", BytesIO(b"x"), _kept(b"x"), "text/plain")


def test_s3_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable, match="EndpointConnectionError") as caught:
        S3Store(BUCKET, endpoint_url=url, region="us-east-1").find("a")
    assert "very-secret" not in str(caught.value)


def test_s3_without_credentials(s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match="no credentials"):
        S3Store(BUCKET, endpoint_url=s3_url, region="us-east-1").find("a")


# -- logs -------------------------------------------------------------------------------------------------


class WithLogs(OnCluster):
    """Pods whose logs the test writes."""

    def write(self, directory: Path, pod: str, lines: list[str], before: list[str] | None = None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
        files = {}
        for kind, texts in (("logsFile", lines), ("previousLogsFile", before or [])):
            files[kind] = directory / f"{pod}.{kind}"
            files[kind].write_text("".join(f"{now} stdout F {text}\n" for text in texts))
        document = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": self.namespace},
            "spec": {"logs": [{kind: str(path) for kind, path in files.items()}]},
        }
        path = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{self.namespace}/logs"
        self.kube.post(path, json=document).raise_for_status()

    @property
    def pods(self) -> list[dict[str, Any]]:
        found = self.kube.get(f"/api/v1/namespaces/{self.namespace}/pods").json()["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture
def server(kube: httpx.Client, kubeconfig: Path, tensafe: str) -> WithLogs:
    return WithLogs(kube, kubeconfig, tensafe)


@pytest.fixture
def filed(tmp_path: Path, kubeconfig: Path, http: httpx.Client) -> Iterator[Evidence]:
    with connect(kubeconfig) as api:
        yield Evidence(FileStore(tmp_path / "evidence"), api, http, "http://127.0.0.1:1")


def _collect(evidence: Evidence, server: OnCluster, **changes: Any) -> tuple[StoredEvidence, str]:
    values = {
        "incident_id": "INC-1",
        "name": "logs.txt",
        "namespace": server.namespace,
        "selector": "app=tensafe",
        "since": timedelta(hours=1),
        "effect": an_effect(),
    }
    stored = ActivityEnvironment().run(evidence.collect_logs, CollectLogs(**(values | changes)))
    return stored, Path(unquote(urlparse(stored.uri).path)).read_text() if stored.applied else ""


def _served(server: OnCluster, pod: str, line: str) -> bool:
    """Whether kwok serves the log already."""
    answer = server.kube.get(f"/api/v1/namespaces/{server.namespace}/pods/{pod}/log")
    return line in answer.text


def test_logs(filed: Evidence, server: WithLogs, tmp_path: Path):
    names = [pod["metadata"]["name"] for pod in server.pods]
    for name in names:
        server.write(tmp_path, name, [f"hello from {name}", "bye"])
        eventually(lambda name=name: _served(server, name, name))
    stored, text = _collect(filed, server)
    assert stored.detail == "6 lines of 3 pods"
    for name in names:
        assert text.count(f"hello from {name}") == 1
        assert f"===== {name}, tensafe-server (registry.example/tensafe-server:v1.2.3, " in text
    assert stored.sha256 == hashlib.sha256(text.encode()).hexdigest()
    first = next(line for line in text.splitlines() if "hello" in line)
    datetime.fromisoformat(first.split()[0])


def test_logs_of_crashed_pods_with_the_run_before(filed: Evidence, server: WithLogs, tmp_path: Path):
    server.release(BAD)
    eventually(lambda: len(server.pods) == 3 and all(
        pod["status"].get("containerStatuses", [{}])[0].get("restartCount") for pod in server.pods
    ))  # fmt: skip
    crashed = server.pods[0]["metadata"]["name"]
    server.write(tmp_path, crashed, ["starting again"], ["Traceback: no table orders"])
    eventually(lambda: _served(server, crashed, "starting again"))
    stored, text = _collect(filed, server, failing_only=True)
    before, now = text.index("no table orders"), text.index("starting again")
    assert before < now
    assert f"===== {crashed}, tensafe-server, the run before (" in text
    assert "CrashLoopBackOff, 1 restarts" in text
    # The sandbox gives the others a line each.
    assert stored.detail == "6 lines of 3 failing pods"


def test_a_log_that_cannot_be_read_is_said_and_no_failure(filed: Evidence, server: WithLogs, tmp_path: Path):
    lost, *_ = [pod["metadata"]["name"] for pod in server.pods]
    server.write(tmp_path, lost, ["hello"])
    eventually(lambda: _served(server, lost, "hello"))
    (tmp_path / f"{lost}.logsFile").unlink()
    stored, text = _collect(filed, server)
    about = text[text.index(f"===== {lost}, tensafe-server (") :].splitlines()
    assert about[1].startswith("(not readable: ")
    assert stored.detail == "2 lines of 3 pods, 1 logs not readable"


def test_logs_of_failing_pods_where_none_fails(filed: Evidence, server: WithLogs):
    stored, text = _collect(filed, server, failing_only=True)
    assert text == f"No failing pods of app=tensafe in {server.namespace}.\n"
    assert stored.detail == "0 lines of 0 failing pods"


def test_huge_logs_are_cut_and_say_so(
    filed: Evidence, server: WithLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(filed._pod_logs, "_most_bytes", 300_000)
    for pod in server.pods:
        server.write(tmp_path, pod["metadata"]["name"], [f"{number} {'x' * 200}" for number in range(3000)])
        eventually(lambda pod=pod: _served(server, pod["metadata"]["name"], "xxx"))
    stored, text = _collect(filed, server)
    assert stored.size < 302_000
    assert text.count("(cut here: more than 100000 bytes)\n") == 3


def test_a_planned_collection_stores_nothing(filed: Evidence, server: WithLogs, tmp_path: Path):
    stored, _ = _collect(filed, server, effect=an_effect(dry_run=True))
    assert not stored.applied
    assert not (tmp_path / "evidence").exists()


def test_collecting_heartbeats_and_is_cancelled(filed: Evidence, server: WithLogs, monkeypatch: pytest.MonkeyPatch):
    beats: list[Any] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details)
    genuine = pod_logs.PodLogs._read
    release = threading.Event()

    def slow(self: Any, *args: Any) -> Any:
        release.wait(20)
        return genuine(self, *args)

    monkeypatch.setattr(pod_logs.PodLogs, "_read", slow)
    threading.Timer(0.3, environment.cancel).start()
    request = CollectLogs(incident_id="INC-1", name="logs.txt", namespace=server.namespace,
                          selector="app=tensafe", since=timedelta(hours=1), effect=an_effect())  # fmt: skip
    with pytest.raises(CancelledError):
        environment.run(filed.collect_logs, request)
    release.set()
    assert beats


def test_logs_of_a_cluster_that_does_not_answer(tmp_path: Path, kubeconfig: Path, http: httpx.Client):
    config = yaml.safe_load(kubeconfig.read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free.getsockname()[1]}"
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(yaml.safe_dump(config))
    request = CollectLogs(incident_id="INC-1", name="logs.txt", namespace="x", selector="a=b",
                          since=timedelta(hours=1), effect=an_effect())  # fmt: skip
    with connect(elsewhere) as api:
        evidence = Evidence(FileStore(tmp_path / "evidence"), api, http, "http://127.0.0.1:1")
        with pytest.raises(Unavailable):
            ActivityEnvironment().run(evidence.collect_logs, request)
    assert not (tmp_path / "evidence").exists()


# -- metrics ----------------------------------------------------------------------------------------------


def _export(**changes: Any) -> ExportMetrics:
    end = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    values = {
        "incident_id": "INC-1",
        "name": "metrics.json",
        "queries": {"two": "vector(2)", "bad": "sum("},
        "start": end - timedelta(hours=2),
        "end": end,
        "effect": an_effect(),
    }
    return ExportMetrics(**(values | changes))


def test_metrics(evidence: Evidence, read: Any):
    stored = evidence.export_metrics(_export())
    document = json.loads(read(stored.uri))
    assert (document["start"], document["end"]) == ("2026-11-23T09:00:00Z", "2026-11-23T11:00:00Z")
    assert document["step_seconds"] == 15
    assert len(document["queries"]["two"]["series"][0]["values"]) == 481
    assert document["queries"]["bad"]["error"].startswith("bad_data")
    assert stored.detail == "2 queries, 1 refused"


def test_metrics_of_a_long_time_are_thinned(evidence: Evidence, read: Any):
    end = datetime.now(UTC)
    stored = evidence.export_metrics(_export(start=end - timedelta(days=30), end=end, queries={"two": "vector(2)"}))
    document = json.loads(read(stored.uri))
    assert 900 < len(document["queries"]["two"]["series"][0]["values"]) <= 1001


def test_no_metrics_without_prometheus(filed: Evidence, tmp_path: Path):
    with pytest.raises(Unavailable):
        filed.export_metrics(_export())
    assert not (tmp_path / "evidence").exists()


# -- invitations ------------------------------------------------------------------------------------------


def _invite(start: datetime, zone: str, **changes: Any) -> Invite:
    values = {
        "incident_id": "INC-1",
        "name": "post-mortem.ics",
        "title": "Post-mortem INC-1: API down; again, sadly",
        "start": start,
        "time_zone": zone,
        "effect": an_effect(),
    }
    return Invite(**(values | changes))


def test_an_invitation(filed: Evidence):
    start = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    request = _invite(start, "Europe/Berlin", attendees=("a@b.c", "d@e.f"), description="What\nhappened")
    stored = filed.invite(request)
    assert stored.detail == "2026-11-24 10:00 Europe/Berlin"
    written = Path(unquote(urlparse(stored.uri).path)).read_bytes()
    calendar = icalendar.Calendar.from_ical(written)
    (entry,) = calendar.events
    assert entry.start == start
    assert entry.end - entry.start == timedelta(hours=1)
    assert entry["summary"] == request.title
    assert entry["description"] == "What\nhappened"
    assert [str(a) for a in entry["attendee"]] == ["mailto:a@b.c", "mailto:d@e.f"]
    assert b"DTSTART;TZID=Europe/Berlin:20261124T100000" in written
    (zone,) = calendar.timezones
    assert zone["tzid"] == "Europe/Berlin"
    assert str(entry["uid"]).endswith("@durable-runbooks")


def test_the_entry_of_one_effect_keeps_its_id(filed: Evidence):
    effect, start = an_effect(), datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

    def uid(name: str, of: Effect) -> str:
        stored = filed.invite(_invite(start, "UTC", name=name, effect=of))
        calendar = icalendar.Calendar.from_ical(Path(unquote(urlparse(stored.uri).path)).read_bytes())
        return str(calendar.events[0]["uid"])

    assert uid("a.ics", effect) == uid("b.ics", effect)
    assert uid("c.ics", an_effect()) != uid("a.ics", effect)


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "Africa/Casablanca"]
)
@pytest.mark.parametrize("month", [1, 7])
def test_any_zone_gives_the_moment_back(filed: Evidence, zone: str, month: int):
    start = datetime(2027, month, 15, 10, 0, tzinfo=ZoneInfo(zone))
    # As it arrives through Temporal: the offset, without the zone.
    request = Invite.model_validate_json(_invite(start, zone, name=f"{month}.ics").model_dump_json())
    stored = filed.invite(request)
    calendar = icalendar.Calendar.from_ical(Path(unquote(urlparse(stored.uri).path)).read_bytes())
    assert calendar.events[0].start.astimezone(UTC) == start.astimezone(UTC)
    assert calendar.events[0].start.hour == 10


def test_an_invitation_without_a_zone(filed: Evidence):
    with pytest.raises(InvalidInput, match="start: a time zone is required"):
        filed.invite(_invite(datetime(2026, 11, 24, 9, 0), "UTC"))  # noqa: DTZ001
