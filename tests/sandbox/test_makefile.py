"""The Makefile and `.ci/run` in a checkout whose path has a space and an umlaut."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUB = """#!/bin/sh
# Stands in for uv: notes what it is asked for.
echo "$@" >> "$UV_NOTES"
[ "$1" = sync ] && mkdir -p .venv
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "ein Pfad" / "für alle"
    folder.mkdir(parents=True)
    for name in ("Makefile", ".ci", "uv.lock"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name in ("sandbox", "activities"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(params=["of its own", "on PATH"])
def notes(request: pytest.FixtureRequest, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uv's stand-in notes what it is asked for: it is the checkout's own, or in a folder with a space on PATH."""
    folder = checkout / ".bootstrap" / "bin" if request.param == "of its own" else checkout.parent / "my bin"
    folder.mkdir(parents=True)
    (folder / "uv").write_text(STUB, encoding="utf-8")
    (folder / "uv").chmod(0o755)
    without = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "uv").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join([*without, *([str(folder)] if request.param == "on PATH" else [])]))
    monkeypatch.setenv("UV_NOTES", str(checkout / "notes"))
    # What a surrounding `make` hands down is not for this one.
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        monkeypatch.delenv(name, raising=False)
    return checkout / "notes"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_help_lists_the_tasks(checkout: Path) -> None:
    told = run(checkout, "make")
    assert {line.split()[0] for line in told.splitlines()} >= {"demo", "test", "lint", "crash", "setup"}


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["make", "setup"], ["sync --frozen"]),
        (["make", "lint"], ["sync", "ruff check", "mypy", "lint-imports"]),
        (["make", "test", "ARGS=-k lease"], ["sync", "sandbox.binaries", "sandbox.browser", "-k lease"]),
        (["make", "crash", "PROCEDURE=rollback"], ["sync", "tests.crash rollback"]),
        ([".ci/run"], ["mypy", "sandbox.binaries", "pytest"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_tasks_reach_their_commands(checkout: Path, notes: Path, command: list[str], asked: list[str]) -> None:
    run(checkout, *command)
    lines = notes.read_text(encoding="utf-8")
    for words in asked:
        assert words in lines


@pytest.mark.servers  # none, but their programs
def test_the_demo_gets_its_programs_and_begins(checkout: Path, notes: Path) -> None:
    run(checkout, "make", "demo", "ARGS=--keep")
    first, last = notes.read_text(encoding="utf-8").splitlines()
    assert first == "sync --frozen --no-default-groups --group sandbox --inexact"
    assert last == "run --frozen --no-sync python -m sandbox.demo --keep"


def test_packages_are_compiled_once(checkout: Path, notes: Path) -> None:
    run(checkout, "make", "setup")
    run(checkout, "make", "setup")
    os.utime(checkout / "uv.lock", (2**31, 2**31))  # another lock file
    run(checkout, "make", "setup")
    assert ["--compile-bytecode" in line for line in notes.read_text(encoding="utf-8").splitlines()] == [
        True,
        False,
        True,
    ]
