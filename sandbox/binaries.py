"""Finds the program of each server that no wheel carries, and gets those that are missing.

The order: a folder that `RUNBOOKS_TOOLCHAIN` names; `KUBEBUILDER_ASSETS`; PATH, where the version fits; our cache;
a download, where there is a network; a build with Go. `python -m sandbox.binaries` does it ahead of time and says
which was chosen.
"""

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from sandbox.toolchain import keda, system
from sandbox.toolchain.build import build
from sandbox.toolchain.download import download, reachable
from sandbox.toolchain.errors import NotPublished, ToolchainError
from sandbox.toolchain.modules import KUBERNETES, MODULES, Module, module_of
from sandbox.toolchain.releases import release

_FOLDERS = ("RUNBOOKS_TOOLCHAIN", "KUBEBUILDER_ASSETS")
_VERSION_SECONDS = 10.0


@dataclass(frozen=True)
class Found:
    """A program, and where it comes from: an environment variable, PATH, or the cache."""

    program: str
    path: Path
    source: str


@functools.cache
def _fits(path: Path, program: str) -> bool:
    module = module_of(program)
    command = [str(path), *module.asked.get(program, ("--version",))]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(module.fits[program], answer.stdout + answer.stderr) is not None


def _look(program: str) -> Found | None:
    module = module_of(program)
    for variable in _FOLDERS:
        if folder := os.environ.get(variable):
            path = Path(folder) / program
            # Who names a folder of ours means it; KUBEBUILDER_ASSETS may be there for somebody else.
            if path.exists() and (variable == _FOLDERS[0] or _fits(path, program)):
                return Found(program, path, variable)
    on_path = shutil.which(program)
    if on_path and _fits(Path(on_path), program):
        return Found(program, Path(on_path), "PATH")
    cached = module.bin / program
    return Found(program, cached, "cache") if cached.exists() else None


@functools.cache
def find(program: str) -> Path:
    """Find a program that is on this machine.

    Raises:
        ToolchainError: it is not; says how to get it.

    """
    found = _look(program)
    if found is None:
        message = f"{program} is not on this machine yet: run `uv run python -m sandbox.binaries`, which gets it"
        raise ToolchainError(message)
    return found.path


def ensure(modules: Sequence[Module] = MODULES, told: Callable[[str], None] = lambda _: None) -> list[Found]:
    """Get every program that is missing, and give all of them. Quick when nothing is.

    Raises:
        ToolchainError: one cannot be had; says what to do.

    """
    if KUBERNETES in modules:
        keda.definition()
    found: list[Found] = []
    for module in modules:
        if _missing(module):
            with _lock(module, told):  # whoever waited finds it done
                missing = [program for program in _missing(module) if not _downloaded(module, program, told)]
                if missing:
                    told(f"building {', '.join(missing)} from source")
                    build(module, missing)
        found += [here for program in module.programs if (here := _look(program))]
    if modules is MODULES:
        found.append(Found("rsync", system.ensure("rsync", "Barman restores with", told), "PATH"))
    return found


def _missing(module: Module) -> list[str]:
    return [program for program in module.programs if _look(program) is None]


def _downloaded(module: Module, program: str, told: Callable[[str], None]) -> bool:
    published = release(program, module.pinned(program))
    if published is None or not _reachable(published.url):
        return False
    try:
        download(published, module.bin / program)
    except (NotPublished, httpx.HTTPError) as error:
        told(f"{program} cannot be downloaded ({error})")
        return False
    told(f"downloaded {program}, checksum verified")
    return True


@functools.cache
def _host_reachable(host: str) -> bool:
    return reachable(host)


def _reachable(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return _host_reachable(f"{scheme}://{rest.partition('/')[0]}")


@contextmanager
def _lock(module: Module, told: Callable[[str], None]) -> Iterator[None]:
    module.cache.mkdir(parents=True, exist_ok=True)
    with (module.cache / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told(f"waiting for another run that is getting {module.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Get everything and show where each program comes from; 1 when one cannot be had."""
    console = Console(stderr=True)
    try:
        found = ensure(told=lambda text: console.print(text, highlight=False))
    except ToolchainError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    for here in found:
        pinned = module_of(here.program).pinned(here.program) if here.source == "cache" else ""
        console.print(f"{here.program:<24} {pinned:<9} {here.source:<18} {here.path}", soft_wrap=True, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
