"""Definitions of kinds of objects (CRDs) that the cluster knows, each from its project's own pinned Go module."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain.build import go
from sandbox.toolchain.download import read
from sandbox.toolchain.errors import ChecksumMismatch, NotPublished, NotReached, ToolchainError
from sandbox.toolchain.modules import cache_directory

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Definition:
    """One file of a Go module; `name` is the folder beside this file that has its go.mod."""

    name: str
    module: str
    version: str
    file: str
    sha256: str
    repository: str
    """`owner/name`, where it is read from when there is no Go."""

    def path(self) -> Path:
        """Give the file, from the cache, from Go's module proxy, or from its repository.

        Raises:
            ToolchainError: it cannot be had, or is not the file that this version is known to have.

        """
        cached = cache_directory() / "toolchain" / f"{self.name}-{self.version}" / Path(self.file).name
        if not cached.exists():
            content = self._from_go() or self._from_repository()
            found = hashlib.sha256(content).hexdigest()
            if found != self.sha256:
                raise ChecksumMismatch(
                    f"{self.name} {self.version}'s {self.file} has SHA-256 {found}, but should have {self.sha256}: "
                    "not used"
                )
            cached.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as temporary:
                temporary.write(content)
            shutil.move(temporary.name, cached)
        return cached

    def _from_go(self) -> bytes | None:
        command = go()
        if command is None:
            return None
        answer = subprocess.run(
            [command, "mod", "download", "-json", self.module],
            cwd=_HERE / self.name,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            return None
        return (Path(json.loads(answer.stdout)["Dir"]) / self.file).read_bytes()

    def _from_repository(self) -> bytes:
        base = os.environ.get("RUNBOOKS_GITHUB_RAW", "https://raw.githubusercontent.com")
        try:
            return read(f"{base}/{self.repository}/{self.version}/{self.file}")
        except (NotPublished, NotReached) as error:
            raise ToolchainError(
                f"{self.name}'s {Path(self.file).name} is needed once: install Go 1.26 or newer, or connect this "
                f"machine to a network ({error})"
            ) from error


KEDA = Definition(
    name="keda",
    module="github.com/kedacore/keda/v2",
    version="v2.21.0",
    file="config/crd/bases/keda.sh_scaledobjects.yaml",
    sha256="af35555862a83933b074af14ad439c4b4ceabaf4daa3e9338e9b23e36d308d80",
    repository="kedacore/keda",
)
CERT_MANAGER = Definition(
    name="cert_manager",
    module="github.com/cert-manager/cert-manager",
    version="v1.21.2",
    file="deploy/crds/cert-manager.io_certificates.yaml",
    sha256="7ad91029c00ec959d54215b19d3b1a9b7e0247eaa60f987151c2b70d8661f8af",
    repository="cert-manager/cert-manager",
)
