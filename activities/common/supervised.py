"""Run as a script: a program that ends with whoever started it, together with all that it has started itself.

`PYTHON -I -S supervised.py PROGRAM [ARGUMENT …]`. The kernel's parent-death signal reaches a child, and not the
children of that child. So the child is this script: it outlives its parent only for as long as it takes to end them
all. It must lead a process group of its own.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1
_CANNOT_START = 127


def _end_all(_signal: int, _frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def main(command: Sequence[str]) -> int:
    """Run the program to its end, and give its exit code."""
    signal.signal(signal.SIGTERM, _end_all)
    if sys.platform == "linux":
        # Until here a signal that kills us was set: nothing is started where the parent is gone already.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    try:
        code = subprocess.call(command)  # noqa: S603 - no shell; every argument is one argument
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]} ({error.strerror})\n")
        return _CANNOT_START
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
