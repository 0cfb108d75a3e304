"""Pod logs as one text: every container, the previous run of those that crashed, bounded, read side by side."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import IO, Any

from temporalio import activity

from activities.common.heartbeat import pause
from activities.kubernetes import states
from activities.kubernetes.api import Object, ask, failures, said
from audit.text import counted
from libraries import kubernetes, urllib3

MOST_BYTES = 64 * 1024 * 1024
"""Of one collection; each container gets an equal share of what is left."""

NOT_READABLE = "not readable"
"""What is told of a log that can't be read, in the text and in its short description."""

_MOST_LINES = 100_000
_SIDE_BY_SIDE = 8
_CHUNK_BYTES = 64 * 1024
_TIMEOUT = (2, 10)
_BEAT = 1.0


@dataclass(frozen=True)
class _Section:
    """One container's log."""

    namespace: str
    pod: str
    container: str
    previous: bool
    about: str

    def __str__(self) -> str:
        which = ", the run before" if self.previous else ""
        return f"===== {self.pod}, {self.container}{which} ({self.about}) =====\n"


@dataclass
class _Text:
    """What was read of it."""

    content: IO[bytes]
    lines: int = 0
    unreadable: bool = False


class PodLogs:
    """Reads logs through the API server, with a time stamp on every line."""

    def __init__(self, core: "kubernetes.CoreV1Api", *, most_bytes: int = MOST_BYTES) -> None:
        self._core = core
        self._most_bytes = most_bytes

    def collect(self, namespace: str, selector: str, since: timedelta, out: IO[bytes], *, failing_only: bool) -> str:
        """Write the logs of a selector's pods, heartbeating, and tell in a few words what they are.

        Several containers are read at once, since a rollback takes pods away within seconds.

        Raises:
            Unavailable: the API server doesn't answer.
            CancelledError: the activity was cancelled.

        """
        pods = self._pods(namespace, selector, failing_only=failing_only)
        sections = [section for pod in pods for section in _sections(pod)]
        lines, unreadable = self._written(sections, since, out)
        if not sections:
            out.write(f"No {'failing ' if failing_only else ''}pods of {selector} in {namespace}.\n".encode())
        told = f"{counted(lines, 'line')} of {counted(len(pods), 'failing pod' if failing_only else 'pod')}"
        return f"{told}, {counted(unreadable, 'log')} {NOT_READABLE}" if unreadable else told

    def everything(self, pod: Object, out: IO[bytes]) -> str:
        """Write all logs that there are of one pod: of every container that it has or had, ephemeral ones too.

        Raises:
            Unavailable: the API server doesn't answer.
            CancelledError: the activity was cancelled.

        """
        sections = list(_sections(pod, ephemeral=True))
        lines, unreadable = self._written(sections, None, out)
        told = f"{counted(lines, 'line')} of {counted(len(sections), 'log')}"
        return f"{told}, {unreadable} {NOT_READABLE}" if unreadable else told

    def _written(self, sections: list[_Section], since: timedelta | None, out: IO[bytes]) -> tuple[int, int]:
        """Write logs one after another; gives how many lines there are, and how many logs couldn't be read."""
        lines = unreadable = 0
        left = self._most_bytes
        for start in range(0, len(sections), _SIDE_BY_SIDE):
            share = left // (len(sections) - start)
            for section, text in self._side_by_side(sections[start : start + _SIDE_BY_SIDE], since, share):
                with text.content:
                    left -= text.content.tell()
                    text.content.seek(0)
                    out.write(str(section).encode())
                    shutil.copyfileobj(text.content, out, _CHUNK_BYTES)
                lines += text.lines
                unreadable += text.unreadable
        return lines, unreadable

    def _pods(self, namespace: str, selector: str, *, failing_only: bool) -> list[Object]:
        found: list[Object] = ask(self._core.list_namespaced_pod, namespace, label_selector=selector)["items"]
        if not failing_only:
            return found
        now = datetime.now(UTC)
        return [pod for pod in found if states.reason_of(pod, now) in states.HOPELESS]

    def _side_by_side(
        self, sections: list[_Section], since: timedelta | None, share: int
    ) -> Iterator[tuple[_Section, _Text]]:
        stop = Event()
        pool = ThreadPoolExecutor(len(sections), thread_name_prefix="logs")
        try:
            reads = [pool.submit(self._read, section, since, share, stop) for section in sections]
            waiting = set(reads)
            while waiting:
                activity.heartbeat()
                pause(0)
                _, waiting = wait(waiting, timeout=_BEAT)
            yield from zip(sections, (read.result() for read in reads), strict=True)
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, section: _Section, since: timedelta | None, share: int, stop: Event) -> _Text:
        text = _Text(tempfile.TemporaryFile())  # noqa: SIM115 - closed by the one who reads it
        try:
            with failures():
                answer = self._open(section, since)
        except _NotReadable as why:
            text.unreadable = True
            text.content.write(f"({NOT_READABLE}: {why})\n".encode())
            return text
        try:
            _copy(answer, text, share, stop)
        except urllib3.exceptions.HTTPError as error:
            text.content.write(f"\n(the log broke off: {type(error).__name__})\n".encode())
        finally:
            answer.close()
        return text

    def _open(self, section: _Section, since: timedelta | None) -> Any:
        within: dict[str, Any] = {}
        if since is not None:
            within = {"since_seconds": max(int(since.total_seconds()), 1), "tail_lines": _MOST_LINES}
        try:
            return self._core.read_namespaced_pod_log(
                section.pod,
                section.namespace,
                container=section.container,
                previous=section.previous,
                **within,
                timestamps=True,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
        except kubernetes.ApiException as error:
            # The pod has gone, its node doesn't answer, or it has not begun: that is worth knowing, not worth failing.
            raise _NotReadable(said(error) or error.status) from None


class _NotReadable(Exception):  # noqa: N818 - reads as the sentence it is
    """One log can't be read; the text says why."""


def _copy(answer: Any, text: _Text, share: int, stop: Event) -> None:
    ended = True
    for chunk in answer.stream(_CHUNK_BYTES):
        kept = chunk[: max(share - text.content.tell(), 0)]
        text.content.write(kept)
        text.lines += kept.count(b"\n")
        ended = kept.endswith(b"\n")
        if len(kept) < len(chunk):
            text.content.write(f"\n(cut here: more than {counted(share, 'byte')})\n".encode())
            return
        if stop.is_set():
            return
    if not ended:
        text.content.write(b"\n")
        text.lines += 1


def _sections(pod: Object, *, ephemeral: bool = False) -> Iterator[_Section]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    reason = states.reason_of(pod, datetime.now(UTC)) or pod.get("status", {}).get("phase", "")
    node = pod["spec"].get("nodeName", "no node")
    told = {state["name"]: state for state in states.containers(pod)}
    spec = pod["spec"]
    known = [*spec.get("initContainers", ()), *spec["containers"]]
    if ephemeral:  # what people have put into it by `kubectl debug`
        known += spec.get("ephemeralContainers", ())
        ran = pod.get("status", {}).get("ephemeralContainerStatuses", ())
        told |= {state["name"]: state for state in ran}
    for container in known:
        state = told.get(container["name"], {})
        restarts = state.get("restartCount", 0)
        about = f"{container['image']}, {node}, {reason}, {counted(restarts, 'restart')}"
        for previous in (True, False) if "terminated" in state.get("lastState", {}) else (False,):
            yield _Section(namespace, name, container["name"], previous, about)
