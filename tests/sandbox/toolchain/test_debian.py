"""Debian's own programs are unpacked where nothing can be downloaded, and never installed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.toolchain import debian, modules
from sandbox.toolchain.errors import ToolchainError


@pytest.fixture
def debians(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A machine with apt, whose package has an Alertmanager of a version; gives apt's log."""
    dpkg = shutil.which("dpkg-deb", path=os.defpath)
    if dpkg is None:
        pytest.skip("no dpkg-deb; on such a system there are no such packages")
    template = tmp_path / "default.tmpl"
    monkeypatch.setitem(modules.ALERTMANAGER.debian_reads, "alertmanager", str(template))

    def publish(version: str, *, lists: bool = True) -> Path:
        root, path = tmp_path / "root", tmp_path / "debian"
        for folder in (root / "DEBIAN", root / "usr" / "bin", path):
            folder.mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text(
            f"Package: prometheus-alertmanager\nVersion: {version}-1\nArchitecture: all\n"
            "Maintainer: A <a@example.test>\nDescription: x\n"
        )
        (root / "DEBIAN" / "postinst").write_text("#!/bin/sh\nexit 1\n")  # would be run if it were installed
        (root / "DEBIAN" / "postinst").chmod(0o755)
        program = root / "usr" / "bin" / "prometheus-alertmanager"
        program.write_text(f"#!/bin/sh\necho 'alertmanager, version {version} (branch: debian/sid)'\n")
        program.chmod(0o755)
        subprocess.run(["dpkg-deb", "--build", root, tmp_path / "it.deb"], check=True, env={"PATH": os.defpath})
        (path / "dpkg-deb").symlink_to(dpkg)
        (path / "apt-get").write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {tmp_path / "apt.log"}\n'
            f'case "$*" in *Lists=*) has_lists=true;; *) has_lists={"true" if lists else "false"};; esac\n'
            f'case "$*" in *" download "*) $has_lists && cp {tmp_path / "it.deb"} ./it_1_all.deb;; esac\n'
        )
        (path / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", f"{path}:{os.defpath}")
        monkeypatch.setenv("RUNBOOKS_GITHUB", "http://127.0.0.1:1")
        template.touch()
        return tmp_path / "apt.log"

    return publish


def test_debians_own_is_unpacked_where_nothing_can_be_downloaded(
    debians: Callable[[str], Path], empty_cache: Path
) -> None:
    log = debians("0.25.0")
    told: list[str] = []
    (found,) = binaries.ensure(["alertmanager"], told.append)
    assert told == ["unpacked Debian's alertmanager (prometheus-alertmanager_0.25.0-1)"]
    assert found.source == "Debian"
    assert found.path == debian._base() / "prometheus-alertmanager_0.25.0-1" / "prometheus-alertmanager"
    assert found.path.is_relative_to(empty_cache)
    assert binaries.find("alertmanager") == found.path
    assert [path.name for path in debian._base().iterdir()] == ["prometheus-alertmanager_0.25.0-1"]
    binaries.ensure(["alertmanager"])
    assert len(log.read_text().splitlines()) == 1  # once and for all


def test_apts_lists_are_fetched_for_ourselves_where_there_are_none(debians: Callable[..., Path]) -> None:
    log = debians("0.25.0", lists=False)
    (found,) = binaries.ensure(["alertmanager"])
    assert found.source == "Debian"
    first, update, second = log.read_text().splitlines()
    assert "Dir::State::Lists" not in first
    assert "update" in update
    for own in (update, second):
        assert f"Dir::State::Lists={debian._base()}/" in own  # the system's stay as they are


def test_debians_own_is_not_taken_where_it_would_not_find_its_template(
    debians: Callable[[str], Path], tmp_path: Path
) -> None:
    log = debians("0.25.0")
    (tmp_path / "default.tmpl").unlink()
    with pytest.raises(ToolchainError, match="install Go"):
        binaries.ensure(["alertmanager"])
    assert not log.exists()


@pytest.mark.parametrize("version", ["0.21.0", "1.0.0"])
def test_debians_own_of_another_version_is_not_taken(debians: Callable[[str], Path], version: str) -> None:
    debians(version)
    told: list[str] = []
    with pytest.raises(ToolchainError, match="install Go"):
        binaries.ensure(["alertmanager"], told.append)
    assert told == [
        f"Debian's alertmanager does not run here, or its version does not fit (prometheus-alertmanager_{version}-1)"
    ]
