"""Programs that come with the system: found on PATH, else installed as root on Debian."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from sandbox.toolchain.errors import ToolchainError

_APT = (
    # Somebody else may be installing something: that ends.
    ("apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "-qq"),
    ("apt-get", "update", "-qq"),
)


def ensure(program: str, why: str, told: Callable[[str], None] = lambda _: None) -> Path:
    """Find a program, else install the package of its name.

    Raises:
        ToolchainError: it can't be had; says what to do.

    """
    install, update = _APT
    for command in ((), (*install, program), update, (*install, program)):
        if command and not _may_install():
            break
        if command:
            told(f"no {program}, which {why}: {' '.join(command)}")
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if found := shutil.which(program):
            return Path(found)
    raise ToolchainError(
        f"no {program}, which {why}: install it (`apt-get install {program}`, `brew install {program}`)"
    )


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None
