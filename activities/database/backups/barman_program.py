"""The `barman` program: its command lines, its answers, and how its failures are typed."""

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from activities.common.children import supervised
from activities.common.errors import ActivityFailure, Conflict, Misconfigured, NotFound, Refused, Unavailable
from activities.common.programs import Finished, run
from activities.database.backups.system import Beat

_READ_WITHIN = timedelta(minutes=2)
_MESSAGE_CHARACTERS = 300
_CANNOT_START = 127

# Barman has no codes for its failures, only sentences. The first that fits decides.
_KINDS: tuple[tuple[type[ActivityFailure], str], ...] = (
    (NotFound, r"Unknown backup "),
    (Misconfigured, r"Unknown server |Unknown model |unrecognized arguments|invalid choice|has 'cluster="),
    (Misconfigured, r"cannot run |onfiguration file .*(?:not found|does not exist)|pg_verifybackup not found"),
    (Misconfigured, r"is disabled|is inactive|[Pp]ermission denied|streaming_archiver option set to 'off'"),
    (Refused, r"is before the backup end time|Unable to parse the target time|not reachable from"),
    (Misconfigured, r"relocation rule|[Tt]ablespace.* (?:directory|location)|[Nn]ot a directory"),
    (Misconfigured, r"[Rr]ead-only file system"),
    (Refused, r"[Nn]o space left on device|[Dd]isk quota exceeded"),
    (Conflict, r"[Aa]nother .*(?:running|in progress|holding the)|Process is still running"),
)
_SECRETS = re.compile(r"(password=)('[^']*'|\S+)|(//[^:/@\s]+:)[^@\s]+(?=@)")


def heard(beat: Beat, doing: str) -> Callable[[], bool]:
    """Give what a running program's watcher asks: goes on unless `beat` raises."""

    def hopeless() -> bool:
        beat(doing)
        return False

    return hopeless


class BarmanProgram:
    """Runs Barman's commands for one server of its configuration.

    Raises from every method: `NotFound` (no such backup), `Misconfigured` (no such server or program, no permission),
    `Refused` (a target that can't be), `Conflict` (another Barman is at it), `Unavailable` (whatever else failed).
    """

    def __init__(self, program: Sequence[str], config: Path | None, server: str) -> None:
        self._program = list(program)
        self._config = ("-c", str(config)) if config else ()
        self._server = server
        # ssh hands its words to a shell, joined.
        self._word: Callable[[str], str] = shlex.quote if Path(program[0]).name == "ssh" else str

    def tried(
        self,
        command: str,
        *arguments: str,
        options: Sequence[str] = (),
        beat: Beat | None = None,
        as_json: bool = False,
    ) -> Finished:
        """Run a command on our server to its end, whatever comes of it."""
        as_asked = ("--format", "json") if as_json else ()
        words = self._words(*as_asked, command, *options, self._server, *arguments)
        return run_program(words, beat, f"barman {command}")

    def maintain(self, beat: Beat) -> None:
        """Do what Barman does every minute: it starts what is to receive the log, for one."""
        run_program(self._words("cron"), beat, "barman cron")

    def text(self, command: str, *arguments: str, options: Sequence[str] = (), beat: Beat | None = None) -> str:
        """Run a command and give what it prints."""
        done = self.tried(command, *arguments, options=options, beat=beat)
        if done.code:
            raise failure(command, done)
        return done.out

    def json(self, command: str, *arguments: str, options: Sequence[str] = ()) -> dict[str, Any]:
        """Run a command and give what it answers of our server."""
        done = self.tried(command, *arguments, options=options, as_json=True)
        if done.code:
            raise failure(command, done)
        answer = answered(done)
        if not isinstance(answer.get(self._server), dict | list):
            raise Misconfigured(f"barman {command} answered without {self._server!r}: is it Barman that answers?")
        return answer

    def segment(self, name: str, to: Path, beat: Beat) -> bool:
        """Copy a file of the archived log; False where it isn't archived."""
        with to.open("wb") as file:
            words = self._words("get-wal", self._server, name)
            done = run_program(words, beat, f"reading {name}", into=file)
        if done.code and "not found" not in done.err:
            raise failure("get-wal", done)
        return done.code == 0

    def _words(self, *arguments: str) -> list[str]:
        return [*self._program, *(self._word(word) for word in (*self._config, *arguments))]


def answered(done: Finished) -> dict[str, Any]:
    """Read a JSON answer; empty where there is none."""
    try:
        answer = json.loads(done.out[max(done.out.find("{"), 0) :])
    except json.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def errors(done: Finished) -> str:
    """Give a command's own error messages, without what could be a secret."""
    told = answered(done).get("_ERROR")
    lines = [str(line) for line in told] if isinstance(told, list) else []
    if not lines:
        both = [line.strip() for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
        lines = [line.partition("ERROR: ")[2] for line in both if "ERROR: " in line] or both[-1:]
    return _SECRETS.sub(r"\1\3***", " ".join("; ".join(lines).split()))


def failure(command: str, done: Finished) -> ActivityFailure:
    """Type the failure of a command."""
    said = errors(done)
    message = f"barman {command}: {said[:_MESSAGE_CHARACTERS] or f'exit code {done.code}'}"
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, said)), Unavailable)
    return kind(message)


def run_program(
    command: Sequence[str],
    beat: Beat | None,
    doing: str,
    *,
    environment: Mapping[str, str] | None = None,
    into: BinaryIO | None = None,
) -> Finished:
    """Run a program, heard of by `beat`, or bounded by two minutes where there is none.

    Raises:
        Misconfigured: it can't be started.

    """
    how: dict[str, Any] = {"within": _READ_WITHIN} if beat is None else {"hopeless": heard(beat, doing)}
    try:
        done = run(
            supervised(command), environment=os.environ if environment is None else environment, into=into, **how
        )
    except OSError as error:
        raise Misconfigured(f"cannot run {command[0]} ({error.strerror})") from None
    if done.code == _CANNOT_START and "cannot run" in done.err:
        raise Misconfigured(done.err.strip())
    return done
