"""Programs out of the system's own Debian packages, unpacked into our cache.

Nothing is installed and no service is started, so no rights are needed. apt verifies what it downloads against the
distribution's signature.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain.errors import NotPublished
from sandbox.toolchain.modules import cache_directory

_SECONDS = 120.0
"""For one of apt's commands: a mirror that hangs must not cost more than the build that it is to save."""
_ACQUIRE = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10")


@dataclass(frozen=True)
class Package:
    """A package, and where in it a program is."""

    name: str
    member: str


def unpacked(package: Package) -> Iterator[Path]:
    """Give the programs that were unpacked before, whatever their version."""
    for folder in sorted(_base().glob(f"{package.name}_*"), reverse=True):
        program = folder / Path(package.member).name
        if program.exists():
            yield program


def unpack(package: Package) -> Path:
    """Download the package that this system would install, and keep the program of it, by its version.

    Raises:
        NotPublished: there is no apt, it does not answer, or it has no such package.

    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise NotPublished("no apt")
    _base().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=_base()) as temporary:
        folder = Path(temporary)
        file = _download(package.name, folder)
        version = _run(["dpkg-deb", "--field", str(file), "Version"], folder).strip()
        _run(["dpkg-deb", "--extract", str(file), str(folder / "root")], folder)
        program = folder / "root" / package.member
        if not program.is_file():
            raise NotPublished(f"{file.name} has no {package.member}")
        target = _base() / f"{package.name}_{version}" / program.name
        target.parent.mkdir(exist_ok=True)
        program.resolve().rename(target)  # a library may be a link to the file beside it
    return target


def _download(package: str, folder: Path) -> Path:
    """Download it by the lists that are there; by lists of our own where these have it no more, or are missing."""
    try:
        _run(["apt-get", *_ACQUIRE, "download", package], folder)
    except NotPublished:
        own = _own_lists(folder)
        _run(["apt-get", *_ACQUIRE, *own, "update", "-qq"], folder)
        _run(["apt-get", *_ACQUIRE, *own, "download", package], folder)
    return next(folder.glob("*.deb"))


def _own_lists(folder: Path) -> tuple[str, ...]:
    """Give the options with which apt keeps its lists here: any user may, and the system's stay as they are."""
    for name in ("lists", "archives"):
        (folder / "apt" / name / "partial").mkdir(parents=True)
    return ("-o", f"Dir::State::Lists={folder / 'apt' / 'lists'}", "-o", f"Dir::Cache={folder / 'apt'}")


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        answer = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotPublished(str(error)) from error
    if answer.returncode != 0:
        said = [line for line in answer.stderr.splitlines() if line.startswith("E:")] or [answer.stderr.strip()]
        raise NotPublished(said[-1])
    return answer.stdout


def _base() -> Path:
    return cache_directory() / "toolchain" / "debian"
