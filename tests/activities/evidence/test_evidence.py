"""Evidence of a real cluster and a real Prometheus, kept in files and in S3 over real HTTP."""

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlparse
from zoneinfo import ZoneInfo

import boto3
import httpx
import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client
from moto.server import ThreadedMotoServer
from temporalio import activity

from activities.common.effects import Effect, is_effect
from activities.common.errors import InvalidInput, Misconfigured, NotFound, Unavailable
from activities.evidence.evidence import (
    Evidence,
    EvidenceStore,
    ExportMetrics,
    Invite,
    Kept,
    StoredEvidence,
    StoreDocument,
)
from activities.evidence.files import FileStore
from activities.evidence.s3 import S3Store
from sandbox.prometheus import Prometheus
from sandbox.ready import ready
from tests.activities.evidence.evidence_fixtures import kept_as
from tests.activities.kubernetes.on_cluster import an_effect

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
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ready(Prometheus(tmp_path_factory.mktemp("prometheus"), targets={})) as server:
        yield server.url


@pytest.fixture
def evidence(store: EvidenceStore, cluster_api: client.ApiClient, http: httpx.Client, prometheus: str) -> Evidence:
    return Evidence(store, cluster_api, http, prometheus)


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
    public = [name for name, each in vars(Evidence).items() if activity._Definition.from_callable(each)]
    assert public == [name for name in public if is_effect(getattr(Evidence, name))]
    assert len(public) == 5


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
def test_names_stay_in_the_folder(tmp_path: Path, cluster_api: client.ApiClient, http: httpx.Client, field: str):
    root = tmp_path / "in" / "here"
    evidence = Evidence(FileStore(root), cluster_api, http, "http://127.0.0.1:1")

    @given(st.text(max_size=120) | st.text("./\\ab-\0%~", max_size=8))
    def stays(text: str) -> None:
        try:
            stored = evidence.store_document(_document(**cast("Any", {field: text})))
        except InvalidInput:
            return
        path = Path(unquote(urlparse(stored.uri).path))
        assert path.is_relative_to(root / "incidents")
        assert path.parent.parent == root / "incidents"
        assert not path.name.startswith(".")

    stays()
    assert {p.name for p in (tmp_path / "in").iterdir()} <= {"here"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", ".hidden", "", "a/b", "a\\b", "a\nb", "ü", "x" * 101])
def test_names_that_are_none(tmp_path: Path, filed: Evidence, name: str):
    with pytest.raises(InvalidInput, match=r"^InvalidInput: name: "):
        filed.store_document(_document(name=name))
    assert list(tmp_path.iterdir()) == []


# -- the stores -------------------------------------------------------------------------------------------


def test_a_store_finds_what_it_keeps(store: EvidenceStore):
    assert store.find("incidents/a/b.txt") is None
    assert store.create("incidents/a/b.txt", BytesIO(b"content"), kept_as(b"content"), "text/plain")
    assert not store.create("incidents/a/b.txt", BytesIO(b"other"), kept_as(b"other"), "text/plain")
    found = store.find("incidents/a/b.txt")
    assert found is not None
    assert found.uri == store.uri("incidents/a/b.txt")
    assert (found.sha256, found.size, found.effect, found.detail) == (kept_as(b"content").sha256, 7, "e", "1 line, ü")


def test_a_store_lists_and_reads_what_it_keeps(store: EvidenceStore):
    assert list(store.keys("audit/heads/")) == []
    for number in range(3):
        content = f"head {number}".encode()
        key = f"audit/heads/{number:012d}.json"
        kept = Kept(store.uri(key), hashlib.sha256(content).hexdigest(), len(content), effect="e", detail="")
        assert store.create(key, BytesIO(content), kept, "application/json")
    assert sorted(store.keys("audit/heads/")) == [f"audit/heads/{number:012d}.json" for number in range(3)]
    assert store.read("audit/heads/000000000002.json") == b"head 2"


def test_many_at_once_make_one(store: EvidenceStore):
    made: list[bool] = []

    def create(number: int) -> None:
        content = str(number).encode() * 1000
        made.append(store.create("incidents/a/b.txt", BytesIO(content), kept_as(content), "text/plain"))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(True) == 1
    assert len(made) == 8


def test_s3_keeps_type_and_checksum(s3: Any, s3_url: str):
    store = S3Store(BUCKET, endpoint_url=s3_url, region="us-east-1")
    store.create("incidents/a/b.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
    head = s3.head_object(Bucket=BUCKET, Key="incidents/a/b.txt")
    assert head["ContentType"] == "text/plain"
    assert head["Metadata"]["sha256"] == kept_as(b"x").sha256


def test_s3_without_the_bucket(s3: Any, s3_url: str):
    store = S3Store("none", endpoint_url=s3_url, region="us-east-1")
    assert store.find("a") is None
    with pytest.raises(NotFound, match="NoSuchBucket"):
        store.create("a", BytesIO(b"x"), kept_as(b"x"), "text/plain")


def test_s3_without_credentials(s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match="no credentials"):
        S3Store(BUCKET, endpoint_url=s3_url, region="us-east-1").find("a")


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
    assert [str(a) for a in cast("list[Any]", entry["attendee"])] == ["mailto:a@b.c", "mailto:d@e.f"]
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
    begins = calendar.events[0].start
    assert isinstance(begins, datetime)
    assert begins.astimezone(UTC) == start.astimezone(UTC)
    assert begins.hour == 10


def test_an_invitation_without_a_zone(filed: Evidence):
    with pytest.raises(InvalidInput, match="start: a time zone is required"):
        filed.invite(_invite(datetime(2026, 11, 24, 9, 0), "UTC"))  # noqa: DTZ001
