"""Finds the program of each server that no wheel carries, and gets those that are missing.

The order: a folder that `RUNBOOKS_TOOLCHAIN` names; `KUBEBUILDER_ASSETS`; PATH, where the version fits; our cache;
a download, where there is a network; Debian's own package, unpacked; a build with Go.
`python -m sandbox.binaries [PROGRAM …]` does it ahead of time and says which was chosen. It needs nothing but the
standard library, so that it can begin before any package is there.
"""

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain import debian, keda, progress, system
from sandbox.toolchain.build import build
from sandbox.toolchain.download import download, reachable
from sandbox.toolchain.errors import NotPublished, NotReached, ToolchainError
from sandbox.toolchain.modules import MODULES, Module, module_of
from sandbox.toolchain.releases import release

CLUSTER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
DEMO = (*CLUSTER, "prometheus", "alertmanager")
"""What the demo runs."""
SANDBOX = (*DEMO, "helm", "rsync", "pebble", "pebble-challtestsrv")
"""What somebody may ask of a sandbox: releases by Helm, restores by Barman, certificates of an authority."""
EVERYTHING = (*SANDBOX, "kubectl")
"""And what tests and benchmarks compare with."""
TEMPORAL_ON_POSTGRES = ("temporal-server", "temporal-sql-tool", "temporal-ui-server")
"""Temporal as production runs it. Only who asks for it gets it: it is built from source alone, for many minutes."""
SIGN_IN = ("oauth2-proxy",)
"""What stands before pages that know nobody. Built where a test first needs it, in a minute."""

_FOLDERS = ("RUNBOOKS_TOOLCHAIN", "KUBEBUILDER_ASSETS")
_SYSTEMS = {"rsync": "Barman restores with"}
"""Programs that come with the system alone, and what for."""
_VERSION_SECONDS = 10.0
_AT_ONCE = 8
"""Downloads side by side; each is bounded by its publisher."""

Told = Callable[[str], None]


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
    if cached.exists():
        return Found(program, cached, "cache")
    return next((Found(program, path, "Debian") for path in _unpacked(module, program) if _fits(path, program)), None)


def _unpacked(module: Module, program: str) -> Iterator[Path]:
    if _debian_can(module, program):
        yield from debian.unpacked(debian.Package(*module.debian[program]))


def _debian_can(module: Module, program: str) -> bool:
    """Tell whether a program out of Debian's package would start here."""
    reads = module.debian_reads.get(program)
    return program in module.debian and (reads is None or Path(reads).exists())


@functools.cache
def find(program: str) -> Path:
    """Find a program that is on this machine.

    Raises:
        ToolchainError: it is not; says how to get it.

    """
    found = _look(program)
    if found is None:
        raise ToolchainError(
            f"{program} is not on this machine yet: run `uv run python -m sandbox.binaries`, which gets it"
        )
    return found.path


def expected(program: str) -> Path:
    """Give where a program is, or will be once it has been got."""
    found = _look(program)
    return found.path if found else module_of(program).bin / program


def ensure(programs: Sequence[str] = EVERYTHING, told: Told = lambda _: None) -> list[Found]:
    """Get every program that is missing, side by side, and give all of them. Quick when nothing is.

    Raises:
        ToolchainError: one cannot be had; says what to do.

    """
    told = progress.above(told)
    wanted = [(module, [program for program in module.programs if program in programs]) for module in MODULES]
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(_get, module, of_it, told) for module, of_it in wanted if _missing(of_it)]
        if set(CLUSTER) <= set(programs):
            jobs.append(pool.submit(_keda))
        from_system = [
            pool.submit(system.ensure, program, why, told) for program, why in _SYSTEMS.items() if program in programs
        ]
        for job in jobs:
            job.result()
        of_system = [job.result() for job in from_system]
    found = [here for _, of_it in wanted for program in of_it if (here := _look(program))]
    return [*found, *(Found(path.name, path, "PATH") for path in of_system)]


def _keda() -> None:
    keda.definition()


def _get(module: Module, programs: Sequence[str], told: Told) -> None:
    with _lock(module, told):  # whoever waited finds it done
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            missing = _missing(programs)
            had = list(pool.map(lambda program: _downloaded(module, program, told), missing))
        missing = [program for program, done in zip(missing, had, strict=True) if not done]
        missing = [program for program in missing if not _from_debian(module, program, told)]
        if missing:
            build(module, missing, told)


def _missing(programs: Sequence[str]) -> list[str]:
    return [program for program in programs if _look(program) is None]


def _downloaded(module: Module, program: str, told: Told) -> bool:
    published = release(program, module.pinned(program))
    if published is None or not _reachable(published.url):
        return False
    try:
        download(published, module.bin / program)
    except (NotPublished, NotReached) as error:
        told(f"{program} cannot be downloaded ({error})")
        return False
    told(f"downloaded {program}, checksum verified")
    return True


def _from_debian(module: Module, program: str, told: Told) -> bool:
    if not _debian_can(module, program):
        return False
    try:
        path = debian.unpack(debian.Package(*module.debian[program]))
    except NotPublished:
        return False  # not on such a system
    if not _fits(path, program):
        told(f"Debian's {program} does not run here, or its version does not fit ({path.parent.name})")
        return False
    told(f"unpacked Debian's {program} ({path.parent.name})")
    return True


@functools.cache
def _host_reachable(host: str) -> bool:
    return reachable(host)


def _reachable(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return _host_reachable(f"{scheme}://{rest.partition('/')[0]}")


@contextmanager
def _lock(module: Module, told: Told) -> Iterator[None]:
    module.cache.mkdir(parents=True, exist_ok=True)
    with (module.cache / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told(f"waiting for another run that is getting {module.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(programs: Sequence[str] = ()) -> int:
    """Get programs, by default those of ordinary tests, and show where each comes from; 1 when one cannot be had."""
    known = (*EVERYTHING, *TEMPORAL_ON_POSTGRES, *SIGN_IN)
    if unknown := set(programs) - set(known):
        progress.say(f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 1
    try:
        found = ensure(programs or EVERYTHING, progress.say)
    except ToolchainError as error:
        progress.say(str(error))
        return 1
    for here in found:
        pinned = module_of(here.program).pinned(here.program) if here.source == "cache" else ""
        progress.say(f"{here.program:<24} {pinned:<9} {here.source:<18} {here.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
