"""Programs built from their pinned Go modules; go.sum vouches for every source."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from activities.common.children import tied
from sandbox.log_files import tail
from sandbox.toolchain.errors import ToolchainError
from sandbox.toolchain.modules import Module
from sandbox.toolchain.progress import Bar, in_words

_USUAL_PLACE = Path("/usr/local/go/bin/go")
_BUILDING = "building-"
_ONE_AT_A_TIME = threading.Lock()
"""Go uses every core by itself; two builds at once would only need twice the memory."""
_COMPILER = "-gcflags=all=-dwarf=false"
"""What the linker's -w throws away is not made in the first place: a seventh of the time."""


def go() -> Path | None:
    """Find the Go command."""
    if found := shutil.which("go"):
        return Path(found)
    return _USUAL_PLACE if _USUAL_PLACE.exists() else None


def build(module: Module, programs: Sequence[str], told: Callable[[str], None] = lambda _: None) -> None:
    """Build programs of a module into its cache; all or nothing. The caller holds the module's lock.

    One that was cut off goes on where it was: Go keeps every package that it has compiled.

    Raises:
        ToolchainError: Go is missing or could not build.

    """
    command = go()
    if command is None:
        raise ToolchainError(
            f"{', '.join(programs)}: not on this machine, not downloadable, and Go is not installed to build them. "
            "Do one of these: install Go 1.26 or newer (its package is `golang`, or see go.dev/dl); connect this "
            "machine to a network; or put the programs on PATH or into a folder that RUNBOOKS_TOOLCHAIN names."
        )
    module.cache.mkdir(parents=True, exist_ok=True)
    for left in module.cache.glob(f"{_BUILDING}*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=module.cache) as folder:
        work = _Work(command, module, programs, Path(folder))
        stale, packages = work.look()  # fetches the sources, also while another module is being built
        with _ONE_AT_A_TIME:
            seconds = _estimate(module, programs, stale / max(packages, 1))
            told(f"building {', '.join(programs)} from source, once: about {in_words(seconds)}")
            work.install(stale, seconds)
        module.bin.mkdir(exist_ok=True)
        for program in programs:
            (Path(folder) / _built_name(module.programs[program])).rename(module.bin / program)


def _estimate(module: Module, programs: Sequence[str], share: float) -> float:
    return share * sum(module.work.get(program, 0.0) for program in programs) / (os.cpu_count() or 1)


class _Work:
    """One call of Go."""

    def __init__(self, command: Path, module: Module, programs: Sequence[str], folder: Path) -> None:
        self._command, self._module, self._programs, self._folder = command, module, programs, folder
        self._packages = [module.programs[program] for program in programs]
        ldflags = module.ldflags.format(**{program: module.pinned(program) for program in module.programs})
        tags = ["-tags", module.tags] if module.tags else []
        self._flags = ["-trimpath", "-ldflags", f"-s -w {ldflags}".strip(), _COMPILER, *tags]
        temporary = folder / "tmp"
        temporary.mkdir()
        # Its temporary files are among what the next build removes, should this one be killed.
        self._environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOBIN": str(folder),
            "GOFLAGS": "",
            "GOTMPDIR": str(temporary),
        }

    def look(self) -> tuple[int, int]:
        """Fetch the sources, and count the packages that are not yet in Go's own cache, and all of them."""
        with Bar(f"getting the sources of {', '.join(self._programs)}"):
            if self._module.needs_all:
                # The cores have nothing else to do while the sources arrive.
                standard = self._start("build", *self._flags, "std")
                self._start("mod", "download").communicate()  # where it fails, the next says so
                standard.communicate()
            listed = self._start("list", *self._flags, "-deps", "-f", "{{.Stale}}", *self._packages)
            answer, _ = listed.communicate()
        return answer.count("true"), answer.count("\n")

    def _start(self, *arguments: str, stderr: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        bound = tied([str(self._command), *arguments], environment=self._environment)
        return subprocess.Popen(
            bound.argv,
            cwd=self._module.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            **bound.how,
        )

    def install(self, stale: int, seconds: float) -> None:
        log = self._folder / "go.log"
        # Every package that is not yet in Go's own cache is a step, and so is linking each program.
        with Bar(f"building {', '.join(self._programs)}", stale + len(self._packages), seconds) as bar:
            process = self._start("install", "-v", *self._flags, *self._packages, stderr=subprocess.STDOUT)
            assert process.stdout is not None
            with log.open("w", encoding="utf-8", buffering=1) as lines:
                for line in process.stdout:
                    lines.write(line)
                    bar.advance(detail=line.strip())
            if process.wait() != 0:
                raise ToolchainError(f"`go install` failed in {self._module.directory}. It ends:\n{tail(log)}")


def _built_name(package: str) -> str:
    """Give the name `go install` uses: the last part of the package's path that is not a major version."""
    parts = package.split("/")
    return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdigit() else parts[-1]
