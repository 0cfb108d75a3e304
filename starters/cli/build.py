"""Which build this is: version, commit, and what the installed code itself is."""

import hashlib
import os
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ROOMS = ("workflows", "activities", "workers", "starters", "audit", "records_schema", "libraries")


def version() -> str:
    """Say it in one line: `runbooks 0.1.0, commit 1a2b3c4d, build 9f8e7d6c5b4a`."""
    try:
        number = installed("durable-runbooks")
    except PackageNotFoundError:
        number = "not installed"
    return f"runbooks {number}, commit {_commit()}, build {build_id()}"


def build_id() -> str:
    """Give what names the code that runs here, whatever git says: a digest of all of it, twelve digits."""
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((_ROOT / room).rglob("*.py")):
            digest.update(f"{file.relative_to(_ROOT)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> str:
    """Give the commit: as the image was built with, else as this checkout has it."""
    if told := os.environ.get("RUNBOOKS_COMMIT"):
        return told
    if not (_ROOT / ".git").exists():
        return "unknown"
    try:
        argv = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=8"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=2)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
