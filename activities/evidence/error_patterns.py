"""What a service's logs complain of: error lines, alike ones counted as one (runbook 2.3 step 2).

A pattern stands in the run's history, so it must tell nothing of customers and hold no secret: numbers, IDs, addresses,
quoted text and whatever follows a word like `token` are masked. The lines themselves stay in the evidence.
"""

import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import IO

from pydantic import BaseModel, Field
from temporalio import activity

from activities.evidence import log_lines
from activities.evidence.pod_logs import PodLogs
from audit.text import counted
from libraries import kubernetes

_SECRET = re.compile(
    r"(?i)\b(\w*(?:password|passwd|secret|token|api[-_]?key|authorization|bearer|cookie|credential)\w*)"
    r"(\s*[:=]\s*|\s+)(?:(?:bearer|basic)\s+)?\S+"
)
_SECRET_VALUE = re.compile(
    r"(?i)\b(\w*(?:passphrase|private[-_]?key|connection[-_]?string)\w*|(?:\w*[_-])?pwd)\s*[:=]\s*\S+"
    r"|\b(\w*(?:session|signature|csrf)\w*|(?:\w*[_-])?(?:sig|pin|otp|dsn))=\S+"
)
"""Words that a sentence may have as well: what follows them is a secret where it is given to them."""
_MASKS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@]*@\S+", re.IGNORECASE), "<url>"),
    (re.compile(r"\bhttps?://\S+", re.IGNORECASE), "<url>"),
    (re.compile(r"\S+@\S+"), "<address>"),
    # To the line's end where it is cut off; an apostrophe within a word begins nothing.
    (re.compile(r"\"[^\"]*(?:\"|$)|(?<!\w)'[^']*(?:'|$)|`[^`]*(?:`|$)"), "<text>"),
    (re.compile(r"\beyJ[\w.-]*|\b(?:gh[a-z]|github_pat|xox[a-z]|[srp]k|glpat)[_-][\w-]+"), "<secret>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=\w*\d)\w{12,}\b"), "<id>"),
    (re.compile(r"(?:\b0x)?\b[0-9a-f]*\d[0-9a-f]*(?:[.:,/-][0-9a-f]*\d[0-9a-f]*)*\b", re.IGNORECASE), "<n>"),
    (re.compile(r"\d+"), "<n>"),
)
_STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d) ?")
"""By the clock of the node, in its time zone."""
_HEADER = re.compile(rb"^===== ([^,]+), ")
_SHOWN = 200
_READ = 2000
"""Characters of a line that are masked: what is shown is far less."""
_KEPT = 10_000
"""Patterns that are told apart at most; a log in which every line is another one says nothing more."""


class ErrorPatternsRequest(BaseModel):
    """`kubectl logs -l SELECTOR | grep -i error`, of the last time."""

    namespace: str
    selector: str
    since: timedelta
    most: int = Field(default=10, ge=1, le=50, description="Patterns that are told.")


class ErrorPattern(BaseModel):
    """Lines that differ in numbers and IDs only."""

    text: str = Field(description="With numbers, IDs, addresses and quoted text masked.")
    count: int
    last_at: datetime | None
    pods: int

    def __str__(self) -> str:
        return f"{self.count} × {self.text}"


class ErrorPatterns(BaseModel):
    """The patterns, the one that was seen last first."""

    items: list[ErrorPattern]
    lines: int = Field(description="All that were read.")
    errors: int = Field(description="Those that complain.")
    others: int = Field(default=0, description="Patterns beyond `most`.")

    def __str__(self) -> str:
        if not self.errors:
            return f"no errors in {counted(self.lines, 'line')}"
        told = "; ".join(str(item) for item in self.items[:3])
        return f"{counted(self.errors, 'error')} in {counted(self.lines, 'line')}: {told}"


class ErrorLogs:
    """Reads logs through the API server.

    Raises `Unavailable` where that doesn't answer. A log that can't be read is left out.
    """

    def __init__(self, cluster: "kubernetes.ApiClient") -> None:
        self._logs = PodLogs(kubernetes.CoreV1Api(cluster))

    @activity.defn(name="logs.error_patterns")
    def error_patterns(self, request: ErrorPatternsRequest) -> ErrorPatterns:
        """Read the logs of a selector's pods, and count what complains, newest first."""
        with tempfile.TemporaryFile() as content:
            self._logs.collect(request.namespace, request.selector, request.since, content, failing_only=False)
            content.seek(0)
            return patterns(content, request.most)


def patterns(content: IO[bytes] | Iterable[bytes], most: int) -> ErrorPatterns:
    """Count the patterns of logs as `PodLogs` writes them: a header for each container, a time on each line."""
    counts: dict[str, int] = {}
    last: dict[str, datetime] = {}
    pods: dict[str, set[bytes]] = {}
    lines = errors = 0
    pod = b""
    for raw in content:
        if header := _HEADER.match(raw):
            pod = header[1]
            continue
        stamp = _STAMP.match(raw)
        if stamp is None:
            continue
        lines += 1
        line = log_lines.read(raw[stamp.end() :].decode(errors="replace").strip())
        if not line.complains:
            continue
        errors += 1
        pattern = masked(line.text)
        if pattern not in counts and len(counts) >= _KEPT:
            continue
        counts[pattern] = counts.get(pattern, 0) + 1
        pods.setdefault(pattern, set()).add(pod)
        at = datetime.fromisoformat(f"{stamp[1].decode()}{stamp[2].decode()}").astimezone(UTC)
        last[pattern] = max(at, last.get(pattern, at))
    newest = sorted(counts, key=lambda pattern: (last[pattern], counts[pattern]), reverse=True)
    return ErrorPatterns(
        items=[
            ErrorPattern(text=text, count=counts[text], last_at=last[text], pods=len(pods[text]))
            for text in newest[:most]
        ],
        lines=lines,
        errors=errors,
        others=max(len(newest) - most, 0),
    )


def masked(line: str) -> str:
    """Give a line without what differs from one to the next, or is nobody's business."""
    text = line if len(line) <= _READ else line[:_READ].rpartition(" ")[0] or line[:_READ]
    text = "".join(c if c.isprintable() else " " for c in text)
    for secret in (_SECRET, _SECRET_VALUE):
        text = secret.sub(lambda found: f"{found[1] or found[2]} <secret>", text)
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
