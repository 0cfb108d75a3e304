"""The real `docker compose`: the one of this machine, else built once from its pinned Go module into our cache."""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sandbox.toolchain.modules import cache_directory

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.temporal.yml"
_PROGRAMS = Path(__file__).parent / "programs"
_PACKAGE = "github.com/docker/compose/v5/cmd"
_BUILD_SECONDS = 900


@functools.cache
def command() -> tuple[str, ...]:
    """Give the command that `docker compose` is here; builds it where there is none (about 45 s on two cores)."""
    for candidate in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(candidate[0]):
            answer = subprocess.run([*candidate, "version", "--short"], capture_output=True, text=True, check=False)
            # Version 1 knows nothing of what the file uses.
            if answer.returncode == 0 and re.match(r"v?([2-9]|\d\d)\.", answer.stdout):
                return candidate
    pins = b"".join((_PROGRAMS / name).read_bytes() for name in ("go.mod", "go.sum"))
    built = cache_directory() / "toolchain" / f"compose-{hashlib.sha256(pins).hexdigest()[:12]}" / "docker-compose"
    if not built.exists():
        _build(built)
    return (str(built),)


def _build(target: Path) -> None:
    assert shutil.which("go"), "neither `docker compose` (version 2 or newer) nor Go, to build it, is on this machine"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        subprocess.run(
            ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", unfinished, _PACKAGE],
            cwd=_PROGRAMS,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            stdout=sys.stderr,
            check=True,
            timeout=_BUILD_SECONDS,
        )
        unfinished.replace(target)


EVERY_PROFILE = {"COMPOSE_PROFILES": "*"}


def config(secrets: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` on our file, with the secrets of a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOKS_", "COMPOSE_"))}
    return subprocess.run(
        [*command(), "-f", str(COMPOSE_FILE), "config", *arguments],
        env={**kept, "RUNBOOKS_SECRETS": str(secrets), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def resolve(secrets: Path, **environment: str) -> dict[str, Any]:
    """Give the file as compose understands it: merged, defaulted, interpolated."""
    answer = config(secrets, "--format", "json", **environment)
    assert answer.returncode == 0, answer.stderr
    resolved: dict[str, Any] = json.loads(answer.stdout)
    return resolved


def make_secrets(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/secrets.sh."""
    return subprocess.run(
        [ROOT / "deploy/secrets.sh", *arguments],
        env={"PATH": os.environ["PATH"], "RUNBOOKS_SECRETS": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
