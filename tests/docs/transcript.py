"""What a new user types, README in hand, on a fresh clone: `python -m tests.docs.transcript`.

It clones what is committed twice, side by side, and does every line of the README and of the pages for users in their
order, on real servers. Then both checkouts keep a demo, and each command finds its own. Ctrl-C is pressed in the middle
of `make demo` and in the first second of commands, and a sandbox is killed with `kill -9`. What is typed and answered
goes to the terminal and into a file. It ends with exit code 1 at the first command that does anything else than what is
written for it in `typed_pages` or here.

`--user NAME` (as root) does it as somebody else, with a home of their own, into which the servers' programs are copied
where somebody has them: to build them takes half an hour. `--pages README.md` does that page alone, in some minutes;
`--pages` with none, and `--beside` or `--interrupt`, does that alone.
"""

import argparse
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from docs.steps import ROOT
from tests.docs.shell import ACTIVATED, Failed, Person, Shell, walk
from tests.docs.typed_pages import PAGES, with_sandbox
from tests.plugins.patience import HANGS

_CACHE = "durable-runbooks"
_AT_ONCE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
_COMMANDS = ("list", "status -", "services", "catalogue", "audit search", "--help")
_INTERRUPTED = 130
_PYTHONS_OWN = "Fatal Python error: init_"
_FIRST_LINE, _SCRIPTS_FRAME = "from starters.begin import main", 3
"""What the installed script does first, and how many lines a traceback has of it: place, line, and what was raised."""

_MAKES = {2, _INTERRUPTED, -signal.SIGINT}
"""How `make` ends when it is interrupted: its own code, or by the signal."""

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
            answer, _ = process.communicate(timeout=HANGS)
            if _before_ours(answer):
                continue
            told = answer.count("interrupted; runs that have been started go on")
            fine = process.returncode in {0, _INTERRUPTED, -signal.SIGINT, 3, 4} and "Traceback" not in answer
            if not fine or told > 1 or (process.returncode == _INTERRUPTED and not told):
                raise Failed(f"runbooks {words}, Ctrl-C after {pause:g} s: {process.returncode}\n{answer}")
        shell.out(f"runbooks {words}: Ctrl-C at {len(_AT_ONCE)} moments of its first second, no traceback")


def _before_ours(answer: str) -> bool:
    """Tell whether Python itself was interrupted, before a line of ours had run: nothing of ours can say it better."""
    innermost = answer.rstrip().splitlines()[-3:]
    importing = len(innermost) == _SCRIPTS_FRAME and "/bin/runbooks" in innermost[0] and _FIRST_LINE in innermost[1]
    begun = len(innermost) == _SCRIPTS_FRAME and '/bin/runbooks", line 0,' in innermost[1]
    return answer.startswith(_PYTHONS_OWN) or importing or begun


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


def interrupt(one: Shell, two: Shell) -> None:
    """Interrupt all that can be, with another checkout's sandbox beside it, which goes on.

    Raises:
        Failed: it is not as it should be.

    """
    interrupt_demo(two)
    for shell in (two, one):
        with_sandbox(shell)
    interrupt_commands(one)
    kill_sandbox(one)
    for shell in (two, one):
        shell.type("runbooks sandbox status", says="ready")
        shell.type("runbooks sandbox down", says="stopped: var/sandbox")


# -- two checkouts ---------------------------------------------------------------------------------------


def beside(one: Shell, two: Shell) -> None:
    """Keep a demo in each of two checkouts: a command finds that of the checkout it is typed in, and no other.

    Raises:
        Failed: one sees, steers or stops what is the other's.

    """
    incidents: list[str] = []
    for shell in (one, two):
        shell.prelude = []
        shell.type("make demo ARGS=--keep", says="It goes on running", within=2400)
        shell.prelude = [ACTIVATED]
    for shell in (one, two):
        shell.type("runbooks list --all", says="using the demo's settings: var/demo/runbooks.toml")
        shell.type("runbooks sandbox status", says=str(shell.folder / "var/demo"))
        found = {run["incident"] for run in shell.ask("runbooks list --all") if run["incident"]}
        if len(found) != 1:
            raise Failed(f"{shell.folder.name} has done one incident, and lists {sorted(found)}")
        incidents.append(*found)
    two.type(f"runbooks status {incidents[0]}", ends=(4,))
    held = one.ask("runbooks start emergency-scale-up --yes")["workflow_id"]
    two.type("runbooks list", says="nothing is open")
    two.type("runbooks status -", ends=(4,))
    # The program of the one, typed in the other's folder: the folder counts.
    two.type(f"{one.folder}/.venv/bin/runbooks status {incidents[1]}", says="closed")
    two.type("runbooks sandbox down", says="stopped: var/demo")
    two.type("runbooks list", ends=(2,), says="no settings")
    one.type("runbooks list", says=held)
    one.type("runbooks cancel -", says="asked to stop")
    one.until(held, "canceled")
    one.type("runbooks sandbox down", says="stopped: var/demo")


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
    parser.add_argument("--pages", nargs="*", choices=list(PAGES), help="default: all, and the two below")
    parser.add_argument("--beside", action="store_true", help="two checkouts, each with a demo that it keeps")
    parser.add_argument("--interrupt", action="store_true", help="Ctrl-C at many moments, and `kill -9` of a sandbox")
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
        everything = options.pages is None and not (options.beside or options.interrupt)
        try:
            for page, typed in PAGES.items():
                if everything or page in (options.pages or ()):
                    if page != "README.md":  # which begins with nothing
                        with_sandbox(one)
                    walk(one, page, typed)
            if everything or options.interrupt:
                interrupt(one, two)
            if everything or options.beside:
                beside(one, two)
        except Failed as failed:
            out(f"\nFAILED: {failed}")
            return 1
        finally:
            for shell in (one, two):
                for process in shell.background:
                    os.killpg(process.pid, signal.SIGKILL)
                shell.prelude = [ACTIVATED]
                if (shell.folder / ".venv").is_dir():
                    shell.start("runbooks sandbox down").communicate(timeout=180)
        out(f"\nall of it as written, in {timedelta(seconds=round(time.monotonic() - began))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
