"""A program is built into the cache: whole, or not at all."""

import multiprocessing
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.probes import wait_until
from sandbox.toolchain import progress
from sandbox.toolchain.build import build, go
from sandbox.toolchain.errors import ToolchainError
from sandbox.toolchain.modules import Module


@pytest.fixture
def small_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """A Go module of one tiny program, so that building is tested for real and in a second."""
    if go() is None:
        pytest.skip("Go is not installed; on such a machine programs are downloaded")
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module example.test/hello\n\ngo 1.22\n\n// example.test/hello v1.0.0\n")
    (source / "go.sum").write_text("")
    (source / "main.go").write_text(
        'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("hello\\n") }\n'
    )
    monkeypatch.setattr(Module, "directory", property(lambda _: source))
    monkeypatch.setattr(Module, "pinned", lambda _, __: "v1.0.0")
    # Go's own cache stays where it is.
    cache = subprocess.run([str(go()), "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Module("small", {"hello": "example.test/hello"})


def test_builds_into_the_cache(small_module: Module) -> None:
    left = small_module.cache / "building-killed"
    left.mkdir(parents=True)
    build(small_module, ["hello"])
    assert subprocess.run([small_module.bin / "hello"], capture_output=True, check=True).stdout == b"hello\n"
    assert sorted(path.name for path in small_module.cache.iterdir()) == ["bin"]


def test_a_failed_build_shows_why_and_leaves_nothing(small_module: Module) -> None:
    (small_module.directory / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(ToolchainError, match="undefined: nonsense"):
        build(small_module, ["hello"])
    assert list(small_module.cache.iterdir()) == []


def test_a_build_that_was_killed_goes_on_where_it_was(small_module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    source, mark = small_module.directory, time.time_ns()  # sources that Go's own cache can't know from before
    for name, content in {
        "quick/quick.go": f"package quick\n\nconst Mark = {mark}\n",
        "slow/slow.go": 'package slow\n\nimport "example.test/hello/quick"\n\nconst Mark = quick.Mark\n\n'
        + "".join(f"func F{n}(m map[int]string) string {{ return m[{n}] + m[Mark+{n}] }}\n" for n in range(4_000)),
        "main.go": 'package main\n\nimport "example.test/hello/slow"\n\nfunc main() { println(slow.Mark) }\n',
    }.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(content)
    killed = multiprocessing.get_context("fork").Process(target=build, args=(small_module, ["hello"]))
    killed.start()
    # The second package begins when the first is done.
    wait_until(lambda: any("hello/slow" in log.read_text() for log in small_module.cache.glob("*/go.log")))
    killed.kill()
    killed.join()
    assert not (small_module.bin / "hello").exists()

    compiled: list[str] = []
    monkeypatch.setattr(progress.Bar, "advance", lambda _, detail: compiled.append(detail))
    build(small_module, ["hello"])
    assert compiled == ["example.test/hello/slow", "example.test/hello"]
    said = subprocess.run([small_module.bin / "hello"], capture_output=True, text=True, check=True).stderr
    assert said == f"{mark}\n"
    assert sorted(path.name for path in small_module.cache.iterdir()) == ["bin"]
