"""Evidence in a folder. Beside each object lies a hidden file with what is known of it."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from activities.common.errors import Misconfigured, Unavailable
from activities.evidence.evidence import Kept


class FileStore:
    """Objects as files under a root folder, which is made when it isn't there.

    Raises from every method: `Misconfigured` (no permission), `Unavailable` (disk full, I/O error).
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def uri(self, key: str) -> str:
        """Give the file's URI."""
        return (self._root / key).as_uri()

    def find(self, key: str) -> Kept | None:
        """Find an object; its SHA-256 and size are those of the file as it is now."""
        path = self._root / key
        with _failures():
            try:
                with path.open("rb") as content:
                    sha256, size = hashlib.file_digest(content, "sha256").hexdigest(), content.tell()
            except FileNotFoundError:
                return None
            known = json.loads(_beside(path).read_text(encoding="utf-8"))
        return Kept(uri=path.as_uri(), sha256=sha256, size=size, effect=known["effect"], detail=known["detail"])

    def create(self, key: str, content: IO[bytes], kept: Kept, content_type: str) -> bool:
        """Write an object that isn't there yet."""
        path = self._root / key
        known = {"effect": kept.effect, "detail": kept.detail, "content_type": content_type}
        with _failures():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _written(path.parent, content) as whole:
                # First what is known of it: an object without that would belong to nobody.
                if not path.exists():
                    with _written(path.parent, io.BytesIO(json.dumps(known).encode())) as note:
                        note.replace(_beside(path))
                try:
                    # Unlike a rename, a link never takes the place of what is there.
                    os.link(whole, path)
                except FileExistsError:
                    return False
            _sync(path.parent)
        return True

    def keys(self, prefix: str) -> list[str]:
        """List what lies in a folder, and not what is known of it."""
        with _failures():
            try:
                names = [path.name for path in (self._root / prefix).iterdir()]
            except FileNotFoundError:
                return []
        return [f"{prefix}{name}" for name in names if not name.startswith(".")]

    def read(self, key: str) -> bytes:
        """Read a file."""
        with _failures():
            return (self._root / key).read_bytes()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


@contextmanager
def _written(folder: Path, content: IO[bytes]) -> Iterator[Path]:
    """Write a file that is on the disk whole, under a name of its own, until the context ends."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the folder's new names last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Misconfigured(f"the evidence folder cannot be used: {error.strerror}") from None
    except OSError as error:
        raise Unavailable(f"the evidence folder: {error.strerror}") from None
