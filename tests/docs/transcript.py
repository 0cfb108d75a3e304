"""What a new user types, README in hand, on a fresh clone: `python -m tests.docs.transcript`.

It clones what is committed twice, side by side, and does every line of the README and of docs/using.md in their order,
on real servers: the README's and the demo's in the one, the procedures in the other's sandbox. Ctrl-C is pressed in the
middle of `make demo` and in the first second of commands, and a sandbox is killed with `kill -9`. What is typed and
answered goes to the terminal and into a file. It ends with exit code 1 at the first command that does anything else
than what is written beside it here.

`--user NAME` (as root) does it as somebody else, with a home of their own, into which the servers' programs are copied
where somebody has them: to build them takes half an hour. `--pages README.md` does that page alone, in some minutes.
"""

import argparse
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from docs.steps import ROOT
from tests.docs.test_examples import blocks

_CACHE = "durable-runbooks"
_ACTIVATED = ". .venv/bin/activate"
_LOOK_SECONDS = 0.5
_AT_ONCE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
_COMMANDS = ("list", "status -", "services", "catalogue", "audit search", "--help")
_INTERRUPTED = 130
_MAKES = {2, _INTERRUPTED, -signal.SIGINT}
"""How `make` ends when it is interrupted: its own code, or by the signal."""


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

    @contextmanager
    def also(self, *lines: str) -> Iterator[None]:
        """Have more said before every line."""
        before = list(self.prelude)
        self.prelude += lines
        try:
            yield
        finally:
            self.prelude = before


def page_lines(page: str) -> list[str]:
    """Give what a page has people type, in its order."""
    found = []
    for block in blocks(ROOT / page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(runbooks|make|python|export) |\. ", line.strip()):
                found += [re.sub(r"\s+# .*", "", line.strip())]
    return found


# -- README ----------------------------------------------------------------------------------------------


def _activate(shell: Shell) -> str:
    shell.prelude = [_ACTIVATED]
    return "command -v runbooks"


def _setup(shell: Shell) -> str:
    shell.prelude = []
    return f"make setup && {_ACTIVATED}"


def _own_service(shell: Shell) -> None:
    """Have a Deployment `api` in a namespace `prod`, which is what the README supposes."""
    shell.prelude = [_ACTIVATED]
    shell.type("make sandbox", says="ready in", within=2400)
    sandbox = tomllib.loads((shell.folder / "var/sandbox/runbooks.toml").read_text(encoding="utf-8"))
    kubeconfig = sandbox["kubernetes"]["kubeconfig"]
    shell.known["health"] = sandbox["services"]["tensafe-server"]["health_url"]
    made = (
        f"python - <<'EOF'\nfrom pathlib import Path\nfrom sandbox import kubernetes_api\n"
        f"from tests.docs.test_adopting import DEPLOYMENT\n"
        f"with kubernetes_api.connect(Path({kubeconfig!r})) as api:\n"
        "    kubernetes_api.apply(api, [{'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'prod'}},\n"
        "        {**DEPLOYMENT, 'metadata': {'name': 'api', 'namespace': 'prod'}}])\nEOF"
    )
    process = shell.start(made)
    answer, _ = process.communicate()
    if process.returncode:
        raise Failed(f"no service to adopt: {answer}")
    # Where the servers are, which the page leaves to docs/adopting.md.
    shell.prelude += [
        f"export RUNBOOKS_TEMPORAL__ADDRESS={sandbox['temporal']['address']} RUNBOOKS_TEMPORAL__TASK_QUEUE=prod",
        f"export RUNBOOKS_RECORDS__URL={sandbox['records']['url']} RUNBOOKS_KUBERNETES__KUBECONFIG={kubeconfig}",
        f"export RUNBOOKS_PROMETHEUS__URL={sandbox['prometheus']['url']}",
    ]


def _exported(shell: Shell) -> str:
    shell.prelude.append("export RUNBOOKS_CONFIG=$PWD/runbooks.toml")
    return "echo $RUNBOOKS_CONFIG"


def _worker(shell: Shell) -> str:
    shell.background.append(shell.start("exec python -m workers >worker.log 2>&1"))
    return "sleep 3"


def _no_own_service(shell: Shell) -> None:
    for process in shell.background:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    shell.background.clear()
    (shell.folder / "runbooks.toml").unlink()
    shell.prelude = [_ACTIVATED]


def _break(shell: Shell, image: str = "BAD_IMAGE") -> None:
    """Ship a release."""
    sandbox = tomllib.loads((shell.folder / "var/sandbox/runbooks.toml").read_text(encoding="utf-8"))
    line = (
        'python -c "from pathlib import Path; from sandbox import manifests; '
        f"manifests.release(Path('{sandbox['kubernetes']['kubeconfig']}'), 'tensafe', manifests.{image})\""
    )
    process = shell.start(line)
    answer, _ = process.communicate()
    if process.returncode:
        raise Failed(answer)


def _incident(shell: Shell) -> None:
    """Wait for the question of an incident that has begun, and learn its number."""
    shell.until("-", "decide mitigation-1")
    (run,) = shell.ask("runbooks list")
    shell.known["incident"] = run["incident"]
    shell.known["number"] = run["incident"].rpartition("-")[2]


def _named(shell: Shell, line: str) -> str:
    line = re.sub(r"\bRUN\b", shell.known.get("RUN", "RUN"), line)
    line = line.replace("INC-20260204-030000-1a2b3c", shell.known.get("incident", ""))
    return line.replace("1a2b3c", shell.known.get("number", ""))


def _held(shell: Shell) -> str:
    """Have something to cancel: a run that holds the autoscaler."""
    begun = shell.ask("runbooks start emergency-scale-up --yes")
    shell.until(begun["workflow_id"], "Autoscaler paused")
    return f"runbooks cancel {begun['workflow_id'].rpartition('-')[2]}"


def _archived(shell: Shell) -> None:
    shell.type("runbooks audit archive", says="archived")


THIS_MONTH = datetime.now(UTC)
README = (
    Typed("make demo ARGS=--keep", says="It goes on running"),
    Typed(_ACTIVATED, _activate),
    Typed("runbooks list --all", says="P1"),
    Typed("runbooks start emergency-scale-up --dry-run --wait", says="would"),
    Typed("runbooks sandbox down", says="stopped: var/demo"),
    Typed("make setup && ", _setup, after=_own_service),
    Typed(
        "runbooks config init api",
        lambda shell: f"runbooks config init api --namespace prod --health-url {shell.known['health']}",
        says="written",
    ),
    Typed("export RUNBOOKS_CONFIG=", _exported),
    Typed("runbooks config check", ends=(0, 1), says="api"),
    Typed("runbooks doctor api", ends=(0, 1), says="1 of 1 ready"),
    Typed("runbooks services", says="ready"),
    Typed("python -m records_schema migrate"),
    Typed("python -m workers &", _worker),
    Typed("runbooks start p1-incident --set service=api --dry-run --wait", says="would", after=_no_own_service),
    Typed("runbooks list", says="nothing is open"),
    Typed(
        "runbooks start p1-incident --set title=",
        lambda _: 'runbooks start p1-incident --set title="API down" --set mitigation=approve --yes',
        says="next",
        before=_break,
        after=_incident,
    ),
    Typed("runbooks status INC-", says="mitigation-1"),
    Typed("runbooks approve - --choice rollback", says="decided by", after=lambda shell: shell.until("-", "close")),
    Typed("runbooks note", says="noted"),
    Typed("runbooks take-over", says="is yours"),
    Typed(
        "runbooks close", says="is being closed", after=lambda shell: shell.until(shell.known["incident"], "completed")
    ),
    Typed("runbooks cancel", _held, says="asked to stop", after=_archived),
    Typed("runbooks audit show", says="written"),
    Typed("runbooks audit search", says="P1"),
    Typed(
        "runbooks audit report",
        lambda _: f"runbooks audit report --month {THIS_MONTH:%Y-%m} --format pdf --output month.pdf",
    ),
    Typed("runbooks audit postmortem", says="written"),
    Typed(
        "runbooks audit export",
        lambda _: f"runbooks audit export --since {THIS_MONTH:%Y-%m}-01 --until {THIS_MONTH:%Y-%m-%d}",
        says="signed",
    ),
    Typed("runbooks audit verify --all", says="whole"),
)

# -- docs/using.md ---------------------------------------------------------------------------------------


_STARTED = re.compile(r"^workflow ID +(\S+)", re.MULTILINE)


def _started(line: str, until: str = "", **more: Any) -> Typed:
    """Say --yes, since nobody can be asked; RUN is then this run, and it comes to something."""

    def after(shell: Shell) -> None:
        shell.known["RUN"] = _STARTED.findall(shell.known["answer"])[-1]
        if until:
            shell.until(shell.known["RUN"], until)

    return Typed(line, lambda shell: f"{shell.known['line']} --yes", after=after, **more)


def _also(*lines: str, until: str = "") -> Callable[[Shell], None]:
    """Type more, where a page leaves a run open."""

    def after(shell: Shell) -> None:
        for line in lines:
            shell.type(_named(shell, line))
        if until:
            shell.until(shell.known["RUN"], until)

    return after


_TOMORROW = datetime.now(UTC) + timedelta(days=1)


def _tomorrow(shell: Shell) -> str:
    return shell.known["line"].replace("2026-02-05", f"{_TOMORROW:%Y-%m-%d}") + " --yes"


def _closed(shell: Shell) -> None:
    shell.until("-", "close")
    shell.type("runbooks close - --resolution quiet --root-cause 'a drill'")
    shell.until(shell.known["RUN"], "completed")


USING = (
    _started("runbooks start p2-incident", "running"),
    # It is healthy, and so nothing is suspected.
    Typed("runbooks approve RUN --choice rollback", ends=(8,), says="nothing is asked"),
    Typed(
        "runbooks raise-to-p1 RUN",
        after=_closed,
    ),
    _started("runbooks start emergency-scale-up", "Autoscaler paused"),
    Typed("runbooks extend RUN --by 15m", says="paused until", after=_also("runbooks resume RUN", until="completed")),
    Typed("runbooks ci v1.2.5", says="passed"),
    _started("runbooks start standard-deployment", says="ended"),
    _started("runbooks start rollback", "completed"),
    Typed("runbooks schedules diff", ends=(0, 1)),
    Typed("runbooks schedules apply"),
    Typed("runbooks schedules list"),
    Typed(
        "runbooks schedules pause", says="is paused", after=_also("runbooks schedules resume end-of-day/tensafe-server")
    ),
    _started("runbooks start morning-startup", "completed"),
    _started("runbooks start enterprise-onboarding", "running"),
    Typed("runbooks status RUN", says="kickoff-call"),
    Typed("runbooks onboarding tick"),
    Typed("runbooks onboarding assign", after=_also("runbooks onboarding stop RUN --tenant keep --reason 'a drill'")),
    *(
        Typed(line, elsewhere="tests/starters/cli/test_customer_commands.py")
        for line in (
            "runbooks start issue-escalation",
            "runbooks ticket update",
            "runbooks start churn-prevention",
            "runbooks outreach",
            "runbooks start api-key-rotation",
            "runbooks extend RUN --by 6h",
            "runbooks start api-key-rotation",
        )
    ),
    Typed(
        "runbooks start maintenance-window",
        _tomorrow,
        after=lambda shell: shell.known.update(RUN=_STARTED.findall(shell.known["answer"])[-1]),
    ),
    Typed("runbooks windows list", says="Database upgrade"),
    Typed("runbooks windows tick", ends=(1,)),  # it begins tomorrow
    Typed("runbooks extend RUN --by 30m", ends=(0, 1)),
    Typed("runbooks cancel RUN", says="asked to stop"),
    Typed("runbooks start database-maintenance --dry-run --wait", says="would"),
    *(
        Typed(line, elsewhere="tests/starters/cli/test_maintenance_commands.py")
        for line in (
            "runbooks start database-maintenance --set tables",
            "runbooks start database-maintenance --set end",
        )
    ),
    *(
        Typed(line, elsewhere="tests/end_to_end/test_restore.py")
        for line in (
            "runbooks start point-in-time-restore",
            "runbooks approve RUN --choice switch",
            "runbooks extend RUN --by 7d",
        )
    ),
    Typed("runbooks start full-service-recovery --dry-run --wait", says="would"),
    Typed("runbooks stop-watching", elsewhere="tests/end_to_end/test_full_recovery.py"),
    Typed("runbooks start certificate-renewal --dry-run --wait", says="ended"),
    Typed("runbooks start certificate-renewal --set only", elsewhere="tests/end_to_end/test_certificates.py"),
    Typed("runbooks approve RUN --choice retry", elsewhere="tests/end_to_end/test_certificates.py"),
    Typed("runbooks start compliance-audit", elsewhere="tests/workflows/security/test_compliance_audit.py"),
    Typed("runbooks audit verify soc2", elsewhere="tests/workflows/security/test_compliance_audit.py"),
)


PAGES: dict[str, Sequence[Typed]] = {"README.md": README, "docs/using.md": USING}


def walk(shell: Shell, page: str) -> None:
    """Do a page, line by line.

    Raises:
        Failed: a command did something else, or the page has other lines than what is written here.

    """
    lines, typed = page_lines(page), PAGES[page]
    for line, one in zip(lines, typed, strict=True):
        if not line.startswith(one.page):
            raise Failed(f"{page} has {line!r} where {one.page!r} is expected: write here what it does")
        if one.elsewhere:
            shell.out(f"\n{shell.folder.name}$ {line}\n[done by {one.elsewhere}]")
            continue
        if one.before:
            one.before(shell)
        shell.known["line"] = _named(shell, line)
        words = one.here(shell) if one.here else shell.known["line"]
        shell.known["answer"] = shell.type(words, ends=one.ends, says=one.says, within=2400)
        if one.after:
            one.after(shell)


# -- what goes wrong -------------------------------------------------------------------------------------


def interrupt_demo(shell: Shell) -> None:
    """Press Ctrl-C in the middle of `make demo`: one line, nothing runs on, and the next one works.

    Raises:
        Failed: something else came of it.

    """
    shell.out(f"\n{shell.folder.name}$ make demo        (and Ctrl-C when its workers run)")
    process = shell.start("make demo")
    told = []
    assert process.stdout is not None
    for line in process.stdout:
        told.append(line)
        if "Rolling out" in line:
            os.killpg(process.pid, signal.SIGINT)
    code = process.wait(120)
    answer = "".join(told)
    shell.out(f"{answer.rstrip()}\n[exit code {code}]")
    if code not in _MAKES or "Traceback" in answer:
        raise Failed(f"`make demo` was interrupted: exit code {code}")
    if left := _running(shell.folder):
        raise Failed(f"`make demo` was interrupted, and there run on: {left}")


def _running(folder: Path) -> list[str]:
    """Name what still runs of a checkout."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and str(os.getpid()) != entry.parent.name:
            found.append(words.strip()[:120])
    return found


def interrupt_commands(shell: Shell) -> None:
    """Press Ctrl-C in the first second of commands, at several moments.

    Raises:
        Failed: one has answered with more than a line.

    """
    for words in _COMMANDS:
        for pause in _AT_ONCE:
            process = shell.start(f"exec runbooks {words}")
            time.sleep(pause)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            answer, _ = process.communicate(timeout=60)
            fine = process.returncode in {0, _INTERRUPTED, -signal.SIGINT, 3, 4} and "Traceback" not in answer
            if not fine:
                raise Failed(f"runbooks {words}, Ctrl-C after {pause:g} s: {process.returncode}\n{answer}")
        shell.out(f"runbooks {words}: Ctrl-C at {len(_AT_ONCE)} moments of its first second, no traceback")


def kill_sandbox(shell: Shell) -> None:
    """Kill a sandbox's supervisor with -9: its servers die with it, and commands say what is the matter."""
    state = json.loads((shell.folder / "var/sandbox/state.json").read_text(encoding="utf-8"))
    shell.type(f"kill -9 {state['pid']}; sleep 3")
    shell.type("runbooks list", ends=(2, 3))
    shell.type("runbooks sandbox status", ends=(3,), says="stopped")
    shell.type("runbooks sandbox down")
    if left := _running(shell.folder / "var"):
        raise Failed(f"a killed sandbox has left: {left}")
    shell.type("make sandbox", says="ready in", within=600)


# -- together --------------------------------------------------------------------------------------------


def clone(person: Person, folder: Path, out: Callable[[str], None]) -> Shell:
    """Clone what is committed; as who types, whose files they are then."""
    git = ["git", "-c", "safe.directory=*", "clone", "--quiet", str(ROOT), str(folder)]
    subprocess.run(git, check=True)
    if person.name:
        _give(person, folder)
    return Shell(person, folder, out)


def _give(person: Person, folder: Path) -> None:
    entry = pwd.getpwnam(person.name or "")
    subprocess.run(["chown", "-R", f"{entry.pw_uid}:{entry.pw_gid}", str(folder)], check=True)


def _newcomer(name: str | None, scratch: Path) -> Person:
    if name is None:
        return Person(None, Path.home())
    home = scratch / "home"
    home.mkdir()
    known = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE
    if known.is_dir():
        shutil.copytree(known, home / ".cache" / _CACHE, symlinks=True)
    person = Person(name, home)
    _give(person, home)
    scratch.chmod(0o755)
    return person


def main() -> int:
    """Do all of it; 1 after a sentence that says what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--user", help="who types; you otherwise")
    parser.add_argument("--pages", nargs="+", choices=list(PAGES), default=list(PAGES), help="default: all")
    parser.add_argument("--output", type=Path, default=Path("var/transcript.txt"), help="default: %(default)s")
    options = parser.parse_args()
    # What runs in the background has it ignored, and would hand that down to those who are to hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="transcript-") as made, options.output.open("w", encoding="utf-8") as file:

        def out(text: str) -> None:
            print(text, flush=True)
            file.write(f"{text}\n")
            file.flush()

        scratch = Path(made)
        person = _newcomer(options.user, scratch)
        one, two = (clone(person, scratch / name, out) for name in ("one", "two"))
        try:
            interrupt_demo(two)
            for page in options.pages:
                walk(one, page)
            two.prelude = [_ACTIVATED]
            two.type("make setup && make sandbox", says="ready in", within=900)
            two.type("runbooks sandbox status", says="ready")
            one.type("runbooks sandbox status", says="ready")
            interrupt_commands(one)
            kill_sandbox(one)
        except Failed as failed:
            out(f"\nFAILED: {failed}")
            return 1
        finally:
            for shell in (one, two):
                for process in shell.background:
                    os.killpg(process.pid, signal.SIGKILL)
                shell.prelude = [_ACTIVATED]
                if (shell.folder / ".venv").is_dir():
                    shell.start("runbooks sandbox down").communicate(timeout=180)
        out(f"\nall of it as written, in {timedelta(seconds=round(time.monotonic() - began))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
