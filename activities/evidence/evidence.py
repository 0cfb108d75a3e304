"""What an incident leaves behind: logs, metrics, documents, in files or in S3 (runbook 2.2 steps 9, 10, 14).

Objects are named by incident, written once, whole or not at all, and their SHA-256 goes into history. Where a name is
taken by another effect, the later object gets a name of its own: evidence is never overwritten.
"""

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Effect, effect
from activities.common.errors import InvalidInput
from activities.common.text import Key, Shown, ToldLine
from activities.evidence.figures_chart import Panel, draw
from activities.evidence.pod_logs import PodLogs
from activities.messages.mail.calendars import Meeting, calendar_file
from activities.monitoring.prometheus import Prometheus, QueryError
from audit.text import counted
from libraries import kubernetes, logger

if TYPE_CHECKING:
    from libraries import httpx

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_IN_MEMORY_BYTES = 1024 * 1024
_POINTS = 1000
_FINEST_STEP = timedelta(seconds=15)

_log = logger(__name__)


class StoredEvidence(BaseModel):
    """One object of the store."""

    uri: ToldLine = Field(description="file:// or s3://.")
    sha256: Key
    size: int = Field(description="Bytes.")
    detail: Shown = Field(default="", description="For example the number of log lines.")
    applied: bool = True

    def __str__(self) -> str:
        return f"{self.uri} ({counted(self.size, 'byte')}{', ' + self.detail if self.detail else ''})"


class CollectLogs(BaseModel):
    """`kubectl logs -l SELECTOR --since`, all containers, the previous one of crashed pods too."""

    incident_id: str
    name: str = Field(description="File name in the incident's folder, e.g. `logs-last-hour.txt`.")
    namespace: str
    selector: str
    since: timedelta
    failing_only: bool = Field(default=False, description="Only pods that are failing now.")
    effect: Effect


class ExportMetrics(BaseModel):
    """`tensafe-admin metrics export`: range queries as one JSON document."""

    incident_id: str
    name: str
    queries: dict[str, str]
    start: datetime
    end: datetime
    effect: Effect


class ChartFigures(BaseModel):
    """Error rate and latency over a time, as a picture."""

    incident_id: str
    name: str = Field(description="File name in the incident's folder, ending in `.svg`.")
    error_rate: str | None = Field(description="PromQL; None is left out.")
    p95_latency: str | None
    error_rate_limit: float = Field(description="Share, 0 to 1.")
    p95_latency_limit: float = Field(description="Seconds.")
    start: datetime
    end: datetime
    effect: Effect


class StoreDocument(BaseModel):
    """A text written by the run itself (timeline, post-mortem draft)."""

    incident_id: str
    name: str
    content: str
    content_type: str = "text/markdown"
    effect: Effect


class Invite(Meeting):
    """A calendar entry (.ics) of an incident."""

    incident_id: str
    name: str
    effect: Effect


@dataclass(frozen=True)
class Kept:
    """What a store knows of an object."""

    uri: str
    sha256: str
    size: int
    effect: str
    detail: str


class Piece(Protocol):
    """What is to be kept: under which name, of which incident, by which effect."""

    @property
    def incident_id(self) -> str:
        """The folder."""

    @property
    def name(self) -> str:
        """The file's name in it."""

    @property
    def effect(self) -> Effect:
        """Whose it is."""


class EvidenceStore(Protocol):
    """Where evidence is kept: files or S3."""

    def uri(self, key: str) -> str:
        """Give the URI that an object of this key has."""

    def find(self, key: str) -> Kept | None:
        """Find an object, None where there is none."""

    def create(self, key: str, content: IO[bytes], kept: Kept, content_type: str) -> bool:
        """Store an object whole; False, and nothing done, where there is one already."""

    def keys(self, prefix: str) -> list[str]:
        """List what is kept below a prefix that ends with a slash."""

    def read(self, key: str) -> bytes:
        """Read an object that is there."""


class Evidence:
    """Collects and stores evidence; a second attempt of the same effect returns what the first stored.

    In plan mode nothing is written: the answer says where it would be, with `applied=False`.

    Raises from every method: `InvalidInput` (a name that isn't one), `Unavailable` (the store, or where the evidence
    comes from, doesn't answer), `Refused` and `Misconfigured` (the store doesn't let us).
    """

    def __init__(
        self, store: EvidenceStore, cluster: "kubernetes.ApiClient", http: "httpx.Client", prometheus: str
    ) -> None:
        self._store = store
        self._pod_logs = PodLogs(kubernetes.CoreV1Api(cluster))
        self._prometheus = Prometheus(http, prometheus)

    @activity.defn(name="evidence.collect_logs")
    @effect
    def collect_logs(self, request: CollectLogs) -> StoredEvidence:
        """Collect pod logs (2.2 step 9).

        A container whose log can't be read is said so in the text. The text is bounded, and says where it is cut.
        """

        def produce(content: IO[bytes]) -> str:
            return self._pod_logs.collect(
                request.namespace, request.selector, request.since, content, failing_only=request.failing_only
            )

        return self.keep(request, "text/plain; charset=utf-8", produce)

    @activity.defn(name="evidence.export_metrics")
    @effect
    def export_metrics(self, request: ExportMetrics) -> StoredEvidence:
        """Export range queries (2.2 step 10).

        At most 1000 points a series, at most one every 15 s. A query that Prometheus refuses leaves its error.
        """
        step = _step(request.end - request.start)

        def produce(content: IO[bytes]) -> str:
            answers = {name: self._series(query, request, step) for name, query in request.queries.items()}
            document = {
                "incident": request.incident_id,
                "start": _rfc3339(request.start),
                "end": _rfc3339(request.end),
                "step_seconds": step.total_seconds(),
                "queries": answers,
            }
            content.write(json.dumps(document, indent=1).encode())
            refused = sum("error" in answer for answer in answers.values())
            return counted(len(answers), "query", "queries") + (f", {refused} refused" if refused else "")

        return self.keep(request, "application/json", produce)

    def _series(self, query: str, request: ExportMetrics, step: timedelta) -> dict[str, Any]:
        try:
            return {"query": query, "series": self._prometheus.series(query, request.start, request.end, step)}
        except QueryError as error:
            return {"query": query, "error": str(error)}

    @activity.defn(name="evidence.chart_figures")
    @effect
    def chart_figures(self, request: ChartFigures) -> StoredEvidence:
        """Draw error rate and latency against their limits (2.3 step 3: `metrics get … --last 30m`), as SVG.

        A query that Prometheus refuses leaves its error in the picture.
        """
        step = _step(request.end - request.start)

        def panel(title: str, query: str, factor: float, limit: float) -> Panel:
            try:
                series = self._prometheus.series(query, request.start, request.end, step)
            except QueryError as error:
                return Panel(title, (), factor, limit, missing=str(error))
            return Panel(title, series, factor, limit)

        def produce(content: IO[bytes]) -> str:
            panels = []
            if request.error_rate is not None:
                panels.append(panel("Error rate, %", request.error_rate, 100, request.error_rate_limit))
            if request.p95_latency is not None:
                panels.append(panel("p95 latency, s", request.p95_latency, 1, request.p95_latency_limit))
            content.write(draw(panels, request.start, request.end))
            return counted(len(panels), "figure")

        return self.keep(request, "image/svg+xml", produce)

    @activity.defn(name="evidence.store_document")
    @effect
    def store_document(self, request: StoreDocument) -> StoredEvidence:
        """Store a document of the run's own."""

        def produce(content: IO[bytes]) -> str:
            content.write(request.content.encode())
            return ""

        return self.keep(request, f"{request.content_type}; charset=utf-8", produce)

    @activity.defn(name="evidence.invite")
    @effect
    def invite(self, request: Invite) -> StoredEvidence:
        """Store a calendar entry for a meeting (2.2 step 14)."""
        if request.start.tzinfo is None:
            raise InvalidInput("start: a time zone is required")

        def produce(content: IO[bytes]) -> str:
            content.write(calendar_file(request, request.effect.key))
            return f"{request.start.astimezone(ZoneInfo(request.time_zone)):%Y-%m-%d %H:%M} {request.time_zone}"

        return self.keep(request, "text/calendar; charset=utf-8", produce)

    def keep(self, request: Piece, content_type: str, produce: Callable[[IO[bytes]], str]) -> StoredEvidence:
        """Produce and store an object in the incident's folder, unless an earlier attempt has stored it."""
        folder = f"incidents/{_safe('incident_id', request.incident_id)}"
        key = f"{folder}/{_safe('name', request.name)}"
        return keep(self._store, key, produce, effect=request.effect, content_type=content_type)


def keep(
    store: EvidenceStore, key: str, produce: Callable[[IO[bytes]], str], *, effect: Effect, content_type: str
) -> StoredEvidence:
    """Produce and store an object, unless an earlier attempt of the effect has stored it; `produce` gives its detail.

    In plan mode it is produced and not stored.

    Raises:
        Unavailable, Refused, Misconfigured: as the store and `produce` do.

    """
    mark = hashlib.sha256(effect.key.encode()).hexdigest()[:16]
    place, kept = _place(store, key, mark)
    if kept is not None:
        return StoredEvidence(uri=kept.uri, sha256=kept.sha256, size=kept.size, detail=kept.detail, applied=False)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as content:
        detail = produce(content)
        content.seek(0, 2)
        size = content.tell()
        content.seek(0)
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(0)
        stored = StoredEvidence(uri=store.uri(place), sha256=sha256, size=size, detail=detail)
        if effect.dry_run:
            return stored.model_copy(update={"applied": False})
        made = Kept(uri=stored.uri, sha256=sha256, size=size, effect=mark, detail=detail)
        if not store.create(place, content, made, content_type):
            # An attempt that was thought dead has stored it meanwhile, and the first object is the one that counts.
            return keep(store, key, produce, effect=effect, content_type=content_type)
    _log.info("evidence stored", uri=stored.uri, size=size, sha256=sha256, effect=effect.key)
    return stored


def key_of(stored: StoredEvidence, store: EvidenceStore) -> str:
    """Give an object's key in the store from its URI."""
    return stored.uri.removeprefix(store.uri("x").removesuffix("x"))


def _place(store: EvidenceStore, key: str, mark: str) -> tuple[str, Kept | None]:
    """Find this effect's object, or the name that it may take."""
    kept = store.find(key)
    if kept is not None and kept.effect != mark:
        folder, _, name = key.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        key = f"{folder}/" + (f"{stem}.{mark}.{suffix}" if dot else f"{name}.{mark}")
        kept = store.find(key)
    return key, kept


def _step(span: timedelta) -> timedelta:
    return max(_FINEST_STEP, timedelta(seconds=math.ceil(span.total_seconds() / _POINTS)))


def _safe(field: str, value: str) -> str:
    """Require a plain file name: it becomes part of a path."""
    if _SAFE.fullmatch(value) is None:
        raise InvalidInput(f"{field}: letters, digits, '.', '_' and '-' only, beginning with a letter or digit")
    return value


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
