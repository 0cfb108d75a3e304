"""What a child process needs so that it cannot outlive whoever started it."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_SHELL = "/bin/sh"
_IF_THE_PARENT_LIVES = '[ "$PPID" = "$0" ] || exit 1; exec "$@"'
"""It may have died before the child's signal was set."""


class _How(TypedDict, total=False):
    preexec_fn: Callable[[], None] | None
    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True)
class Tied:
    """A command whose process dies with the thread that starts it: `subprocess.Popen(tied.argv, **tied.how)`."""

    argv: list[str]
    how: _How = field(default_factory=_How)


def tied(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
) -> Tied:
    """Tie a command's life to that of the thread that starts it; on Linux only, elsewhere it is as it was.

    A function that the child runs first (`preexec_fn`), and so does another user, costs a copy of our whole process:
    ten times as much CPU as a program that does the same. So it is done by util-linux' `setpriv`, where there is one.
    That takes a few milliseconds in the child. Where the process is killed meanwhile, the child ends all the same;
    a thread must not end sooner, while its process goes on: let it wait for the child, or live as long as we do.

    Args:
        command: The program and its arguments.
        environment: What it is started with; ours, if it isn't given.
        user: As whom it runs, without further groups; with its group, or neither.
        group: Its only group.

    """
    program = _setpriv() if _LIBC is not None and _is_there(command[0], environment) else None
    if program is None:  # what can't be started is refused by `Popen` itself
        groups: list[int] | None = [] if user is not None else None
        return Tied([*command], _How(preexec_fn=die_with_parent(), user=user, group=group, extra_groups=groups))
    own = [f"--reuid={user}", f"--regid={group}", "--clear-groups"] if user is not None else []
    check = [_SHELL, "-c", _IF_THE_PARENT_LIVES, str(os.getpid())]
    return Tied([program, *own, "--pdeathsig=KILL", "--", *check, *command])


@cache
def _setpriv() -> str | None:
    """Find a `setpriv` that can do it: that of BusyBox cannot."""
    found = shutil.which("setpriv")
    if found is None:
        return None
    tried = [found, "--pdeathsig=KILL", "--", _SHELL, "-c", ":"]
    done = subprocess.run(tried, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603  found above
    return found if done.returncode == 0 else None


def _is_there(program: str, environment: Mapping[str, str] | None) -> bool:
    path = os.pathsep.join(os.get_exec_path(environment))
    return (Path(program).is_absolute() or os.sep not in program) and shutil.which(program, path=path) is not None


def die_with_parent() -> Callable[[], None] | None:
    """Give what a child must run before its program so that it dies with the thread that starts it; Linux only."""
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above took effect
            os._exit(1)

    return in_child


def supervised(command: Sequence[str]) -> list[str]:
    """Give the command for a program whose own children must not outlive us either; it must lead a process group."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervised.py")), *command]
