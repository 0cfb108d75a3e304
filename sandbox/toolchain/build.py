"""Programs built from their pinned Go modules; go.sum vouches for every source."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from activities.children import die_with_parent
from sandbox.processes import tail
from sandbox.toolchain.errors import ToolchainError
from sandbox.toolchain.modules import Module
from sandbox.toolchain.progress import Bar

_USUAL_PLACE = Path("/usr/local/go/bin/go")
_BUILDING = "building-"


def go() -> Path | None:
    """Find the Go command."""
    if found := shutil.which("go"):
        return Path(found)
    return _USUAL_PLACE if _USUAL_PLACE.exists() else None


def build(module: Module, programs: Sequence[str]) -> None:
    """Build programs of a module into its cache; all or nothing. The caller holds the module's lock.

    Raises:
        ToolchainError: Go is missing or could not build.

    """
    command = go()
    if command is None:
        message = (
            f"{', '.join(programs)}: not on this machine, not downloadable, and Go is not installed to build them. "
            "Do one of these: install Go 1.26 or newer (its package is `golang`, or see go.dev/dl); connect this "
            "machine to a network; or put the programs on PATH or into a folder that RUNBOOKS_TOOLCHAIN names."
        )
        raise ToolchainError(message)
    module.cache.mkdir(parents=True, exist_ok=True)
    for left in module.cache.glob(f"{_BUILDING}*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=module.cache) as folder:
        _install(command, module, programs, Path(folder))
        module.bin.mkdir(exist_ok=True)
        for program in programs:
            (Path(folder) / _built_name(module.programs[program])).rename(module.bin / program)


def _install(command: Path, module: Module, programs: Sequence[str], folder: Path) -> None:
    packages = [module.programs[program] for program in programs]
    ldflags = module.ldflags.format(**{program: module.pinned(program) for program in module.programs})
    flags = ["-trimpath", "-ldflags", f"-s -w {ldflags}".strip(), *(["-tags", module.tags] if module.tags else [])]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder), "GOFLAGS": ""}
    log = folder / "go.log"
    title = f"building {', '.join(programs)} (once; minutes)"
    # Every package that is not yet in Go's own cache is a step, and so is linking each program.
    with Bar(title, total=_stale_packages(command, module, flags, packages, environment) + len(packages)) as bar:
        process = subprocess.Popen(
            [command, "install", "-v", *flags, *packages],
            cwd=module.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one async-signal-safe system call
        )
        assert process.stdout is not None
        with log.open("w", encoding="utf-8") as lines:
            for line in process.stdout:
                lines.write(line)
                bar.advance(detail=line.strip())
        if process.wait() != 0:
            message = f"`go install` failed in {module.directory}. It ends:\n{tail(log)}"
            raise ToolchainError(message)


def _stale_packages(
    command: Path, module: Module, flags: Sequence[str], packages: Sequence[str], environment: dict[str, str]
) -> int:
    answer = subprocess.run(
        [command, "list", *flags, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *packages],
        cwd=module.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return len(answer.stdout.split())


def _built_name(package: str) -> str:
    """Give the name `go install` uses: the last part of the package's path that is not a major version."""
    parts = package.split("/")
    return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdigit() else parts[-1]
