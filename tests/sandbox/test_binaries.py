"""Programs that no wheel carries: found, downloaded with verified checksums, or built; each once."""

import fcntl
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.toolchain.errors import ChecksumMismatch, ToolchainError
from sandbox.toolchain.modules import ALERTMANAGER
from tests.sandbox.publishing import PROGRAM, publish_archive


def test_a_verified_download_is_used(releases: Path, empty_cache: Path) -> None:
    publish_archive(releases, "alertmanager", PROGRAM)
    told: list[str] = []
    (found,) = binaries.ensure(["alertmanager"], told.append)
    assert told == ["downloaded alertmanager, checksum verified"]
    assert found.source == "cache"
    assert found.path.is_relative_to(empty_cache)
    answer = subprocess.run([found.path], capture_output=True, text=True, check=True, env={"PATH": "/bin"})
    assert "from a release" in answer.stdout
    assert binaries.find("alertmanager") == found.path


def test_helm_is_downloaded_beside_its_checksum(releases: Path, empty_cache: Path) -> None:
    publish_archive(releases, "helm", PROGRAM)
    told: list[str] = []
    (found,) = binaries.ensure(["helm"], told.append)
    assert told == ["downloaded helm, checksum verified"]
    assert found.path.read_bytes() == PROGRAM


def test_a_wrong_checksum_is_refused(releases: Path, empty_cache: Path) -> None:
    publish_archive(releases, "alertmanager", PROGRAM, checksum="a" * 64)
    with pytest.raises(ChecksumMismatch, match="its publisher says aaaa"):
        binaries.ensure(["alertmanager"])
    assert list(ALERTMANAGER.bin.iterdir()) == []


def test_without_network_and_go_it_says_what_to_do(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_GITHUB", "http://127.0.0.1:1")
    with pytest.raises(ToolchainError, match=r"install Go[\s\S]*network[\s\S]*RUNBOOKS_TOOLCHAIN"):
        binaries.ensure(["alertmanager"])
    with pytest.raises(ToolchainError, match=r"run `uv run python -m sandbox\.binaries`"):
        binaries.find("alertmanager")


@pytest.mark.parametrize(("version", "taken"), [("0.25.0", True), ("0.21.0", False)])
def test_path_counts_only_where_the_version_fits(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, taken: bool
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "alertmanager").write_text(f"#!/bin/sh\necho 'alertmanager, version {version} (branch: x)'\n")
    (folder / "alertmanager").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    if taken:
        assert binaries.find("alertmanager") == folder / "alertmanager"
    else:
        with pytest.raises(ToolchainError):
            binaries.find("alertmanager")


@pytest.mark.parametrize(
    ("program", "arguments", "line", "taken"),
    [
        ("helm", "version --short", "v3.19.0+g3d8990f", True),
        ("helm", "version --short", "v4.0.1+g12500dd", False),
        ("helm", "version --short", "v3.8.2+g6e3701e", False),
        ("kubectl", "version --client", "Client Version: v1.36.1", True),
    ],
)
def test_each_program_is_asked_for_its_version_in_its_own_way(
    empty_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    program: str,
    arguments: str,
    line: str,
    taken: bool,
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / program).write_text(f'#!/bin/sh\n[ "$*" = "{arguments}" ] && echo "{line}"\n')
    (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    if taken:
        assert binaries.find(program) == folder / program
    else:
        with pytest.raises(ToolchainError):
            binaries.find(program)


def test_the_built_helm_says_its_version() -> None:
    answer = subprocess.run([binaries.find("helm"), "version", "--short"], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().startswith("v3.")


def test_two_runs_get_a_program_once(releases: Path, empty_cache: Path) -> None:
    publish_archive(releases, "alertmanager", PROGRAM)
    ALERTMANAGER.cache.mkdir(parents=True)
    with (ALERTMANAGER.cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        program = textwrap.dedent("""
            from sandbox import binaries
            binaries.ensure(["alertmanager"], lambda text: print(text, flush=True))
        """)
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "RUNBOOKS_GITHUB_RAW": "http://127.0.0.1:1"}
        other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting for another run that is getting alertmanager\n"
        ALERTMANAGER.bin.mkdir()
        (ALERTMANAGER.bin / "alertmanager").write_bytes(PROGRAM)
    out, _ = other.communicate(timeout=240)
    assert other.returncode == 0
    assert out == ""  # found it done: neither downloaded nor built
