"""What a child process needs so that it cannot outlive whoever started it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


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
