"""A publisher of releases, and a machine that has no programs yet."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.toolchain import build as builder
from sandbox.toolchain.modules import MODULES


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A local publisher; gives the folder it serves."""
    folder = tmp_path / "published"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("RUNBOOKS_KUBERNETES_RELEASES", base)
    monkeypatch.setenv("RUNBOOKS_HELM_RELEASES", base)
    monkeypatch.setenv("RUNBOOKS_GITHUB", base)
    monkeypatch.setenv("RUNBOOKS_GITHUB_API", f"{base}/api")
    yield folder
    server.shutdown()


@pytest.fixture
def empty_cache(_forget: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it, and nothing on PATH that could be taken instead."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")
    for variable in ("RUNBOOKS_TOOLCHAIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(builder, "_USUAL_PLACE", Path("/nowhere/go"))
    for module in MODULES:
        monkeypatch.delitem(module.__dict__, "cache", raising=False)
    binaries.find.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def _forget() -> Iterator[None]:
    """What was found in a test's own cache must not reach the other tests."""
    yield
    for module in MODULES:
        module.__dict__.pop("cache", None)
    binaries.find.cache_clear()
