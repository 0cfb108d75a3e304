"""KEDA's definition of ScaledObject, from KEDA's own pinned Go module."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.toolchain.build import go
from sandbox.toolchain.download import read
from sandbox.toolchain.errors import ChecksumMismatch, NotPublished, NotReached, ToolchainError
from sandbox.toolchain.modules import cache_directory

_MODULE = "github.com/kedacore/keda/v2"
_VERSION = "v2.21.0"
_FILE = "config/crd/bases/keda.sh_scaledobjects.yaml"
_SHA256 = "af35555862a83933b074af14ad439c4b4ceabaf4daa3e9338e9b23e36d308d80"
_HERE = Path(__file__).parent / "keda"


def definition() -> Path:
    """Give the file, from the cache, from Go's module proxy, or from KEDA's repository.

    Raises:
        ToolchainError: it cannot be had, or is not the file that this version is known to have.

    """
    cached = cache_directory() / "toolchain" / f"keda-{_VERSION}" / Path(_FILE).name
    if not cached.exists():
        content = _from_go() or _from_repository()
        found = hashlib.sha256(content).hexdigest()
        if found != _SHA256:
            message = f"KEDA {_VERSION}'s {_FILE} has SHA-256 {found}, but should have {_SHA256}: not used"
            raise ChecksumMismatch(message)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as temporary:
            temporary.write(content)
        shutil.move(temporary.name, cached)
    return cached


def _from_go() -> bytes | None:
    command = go()
    if command is None:
        return None
    answer = subprocess.run(
        [command, "mod", "download", "-json", _MODULE], cwd=_HERE, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        return None
    return (Path(json.loads(answer.stdout)["Dir"]) / _FILE).read_bytes()


def _from_repository() -> bytes:
    base = os.environ.get("RUNBOOKS_GITHUB_RAW", "https://raw.githubusercontent.com")
    try:
        return read(f"{base}/kedacore/keda/{_VERSION}/{_FILE}")
    except (NotPublished, NotReached) as error:
        message = (
            f"KEDA's {Path(_FILE).name} is needed once: install Go 1.26 or newer, or connect this machine to a "
            f"network ({error})"
        )
        raise ToolchainError(message) from error
