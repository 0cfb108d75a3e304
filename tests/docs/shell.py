"""A checkout, somebody who types in it, and the lines of a page."""

import json
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.steps import ROOT
from tests.docs.blocks import blocks

ACTIVATED = ". .venv/bin/activate"
_LOOK_SECONDS = 0.5


class Failed(Exception):  # noqa: N818  reads as the sentence it is
    """A command did something else than what is written here."""


@dataclass
class Person:
    """Who types."""

    name: str | None
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of ours, and a home of their own."""
        ours = ("RUNBOOKS_", "TEMPORAL_", "VIRTUAL_ENV", "XDG_", "PYTHON", "MAKE", "MFLAGS", "UV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        path = os.pathsep.join(one for one in kept["PATH"].split(os.pathsep) if ".venv" not in one)
        own = {"USER": self.name, "LOGNAME": self.name} if self.name else {}
        # Said as it happens, as on a terminal, where a pipe would keep it.
        return {**kept, **own, "HOME": str(self.home), "PATH": path, "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}

    @property
    def process(self) -> dict[str, Any]:
        """What makes a process theirs."""
        if self.name is None:
            return {}
        entry = pwd.getpwnam(self.name)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class Typed:
    """A line of a page, and what is typed for it here."""

    page: str
    """How the page's line begins."""

    here: Callable[["Shell"], str] | None = None
    """What is typed instead, where the page's words stand for something."""

    ends: Sequence[int] = (0,)
    says: str = ""
    """What must be in its answer."""

    elsewhere: str = ""
    """The test that does it on real servers, where it takes longer than anybody waits here."""

    before: Callable[["Shell"], None] | None = None
    after: Callable[["Shell"], None] | None = None


@dataclass
class Shell:
    """A checkout, and somebody who types in it."""

    person: Person
    folder: Path
    out: Callable[[str], None]
    prelude: list[str] = field(default_factory=list)
    background: list["subprocess.Popen[str]"] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def type(self, line: str, *, ends: Sequence[int] = (0,), says: str = "", within: float = 900) -> str:
        """Type a line, and give what is answered.

        Raises:
            Failed: it ended otherwise.

        """
        self.out(f"\n{self.folder.name}$ {line}")
        began = time.monotonic()
        process = self.start(line)
        try:
            answer, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            answer, _ = process.communicate()
            raise Failed(f"{line}: not done within {within:g} s\n{answer}") from None
        self.out(answer.rstrip("\n"))
        self.out(f"[exit code {process.returncode}, {time.monotonic() - began:.1f} s]")
        if process.returncode not in ends or "Traceback" in answer or says not in answer:
            wanted = f"exit code {' or '.join(map(str, ends))}{f', and {says!r}' if says else ''}"
            raise Failed(f"{line}: expected {wanted}")
        return answer

    def start(self, line: str) -> "subprocess.Popen[str]":
        """Start it as a shell would in a terminal's foreground: a process group of its own, which Ctrl-C reaches."""
        return subprocess.Popen(
            ["bash", "-c", "\n".join([*self.prelude, line])],
            cwd=self.folder,
            env=self.person.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            **self.person.process,
        )

    def quietly(self, line: str) -> None:
        """Do what no page has people type, such as a release.

        Raises:
            Failed: it has failed.

        """
        process = self.start(line)
        answer, _ = process.communicate(timeout=120)
        if process.returncode:
            raise Failed(f"{line}: {answer}")

    def ask(self, line: str) -> Any:
        """Ask for facts, which no transcript needs."""
        process = self.start(f"{line} --json 2>/dev/null")
        answer, _ = process.communicate(timeout=120)
        return json.loads(answer) if answer.strip() else None

    def until(self, run: str, what: str, within: float = 240) -> None:
        """Wait until a run waits for something, is in a phase, or has ended.

        Raises:
            Failed: it doesn't come to that.

        """
        deadline, seen = time.monotonic() + within, ""
        while time.monotonic() < deadline:
            status = self.ask(f"runbooks status {run}") or {}
            seen = f"{status.get('waiting_for')} | {status.get('phase')} | {status.get('state')}"
            if what in seen:
                return
            time.sleep(_LOOK_SECONDS)
        raise Failed(f"{run}: waited for {what!r}, and it is at {seen}")

    def open_run(self, procedure: str, within: float = 240) -> str:
        """Wait for the one open run of a procedure that something else starts.

        Raises:
            Failed: none comes.

        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := self.ask(f"runbooks list --procedure {procedure}"):
                return str(found[0]["workflow_id"])
            time.sleep(_LOOK_SECONDS)
        raise Failed(f"no {procedure} has begun")


def page_lines(page: str) -> list[str]:
    """Give what a page has people type, in its order."""
    found = []
    for block in blocks(ROOT / page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(runbooks|make|python|export) |\. ", line.strip()):
                found += [re.sub(r"\s+# .*", "", line.strip())]
    return found


def named(shell: Shell, line: str) -> str:
    """Put this run's names where a page has those of its example."""
    line = re.sub(r"\bRUN\b", shell.known.get("RUN", "RUN"), line)
    line = line.replace("INC-20260204-030000-1a2b3c", shell.known.get("incident", ""))
    return line.replace("1a2b3c", shell.known.get("number", ""))


def walk(shell: Shell, page: str, typed: Sequence[Typed]) -> None:
    """Do a page, line by line.

    Raises:
        Failed: a command did something else, or the page has other lines than what is written for it.

    """
    lines = page_lines(page)
    for line, one in zip(lines, typed, strict=True):
        if not line.startswith(one.page):
            raise Failed(f"{page} has {line!r} where {one.page!r} is expected: write here what it does")
        if one.elsewhere:
            shell.out(f"\n{shell.folder.name}$ {line}\n[done by {one.elsewhere}]")
            continue
        if one.before:
            one.before(shell)
        shell.known["line"] = named(shell, line)
        words = one.here(shell) if one.here else shell.known["line"]
        shell.known["answer"] = shell.type(words, ends=one.ends, says=one.says, within=2400)
        if one.after:
            one.after(shell)
