"""Programs that no wheel carries: found, downloaded with verified checksums, or built."""

import fcntl
import hashlib
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox import binaries
from sandbox.probes import wait_until
from sandbox.toolchain import build as builder
from sandbox.toolchain import debian, modules, progress
from sandbox.toolchain import system as system_programs
from sandbox.toolchain.build import build, go
from sandbox.toolchain.download import download, reachable
from sandbox.toolchain.errors import ChecksumMismatch, NotPublished, ToolchainError
from sandbox.toolchain.modules import ALERTMANAGER, KUBERNETES, MODULES, PROMETHEUS, Module
from sandbox.toolchain.releases import release, system

PROGRAM = b"#!/bin/sh\necho 'alertmanager, version 0.31.1 (from a release)'\n"


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
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Caches of this module's making must not reach the other tests."""
    yield
    for module in MODULES:
        module.__dict__.pop("cache", None)
    binaries.find.cache_clear()


def _publish_archive(folder: Path, program: str, content: bytes, *, checksum: str | None = None) -> None:
    published = release(program, modules.module_of(program).pinned(program))
    assert published is not None
    assert published.member is not None
    path = folder / published.url.split("/", 3)[3]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(published.member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    digest = checksum or hashlib.sha256(path.read_bytes()).hexdigest()
    checksums = folder / published.checksums.split("/", 3)[3]
    checksums.write_text(f"{'0' * 64}  something-else.tar.gz\n{digest}  {path.name}\n")


def test_releases_are_named_as_their_publishers_do() -> None:
    kube = release("kube-apiserver", "v1.36.3")
    etcd = release("etcd", "v3.6.8")
    prometheus = release("prometheus", "v0.316.0")
    kwok = release("kwok", "v0.8.0")
    helm = release("helm", "v3.21.4")
    assert helm is not None
    assert kube is not None
    assert etcd is not None
    assert prometheus is not None
    assert kwok is not None
    here = system()
    assert kube.url.endswith(f"/v1.36.3/bin/{here.replace('-', '/')}/kube-apiserver")
    assert etcd.url.endswith(f"/etcd-io/etcd/releases/download/v3.6.8/{etcd.file}")
    assert prometheus.url.endswith(f"/v3.16.0/prometheus-3.16.0.{here}.tar.gz")
    assert kwok.url.endswith(f"/v0.8.0/kwok-{here}")
    assert helm.url.endswith(f"/helm-v3.21.4-{here}.tar.gz")
    assert helm.member == f"{here}/helm"


def test_a_verified_download_is_used(releases: Path, empty_cache: Path) -> None:
    _publish_archive(releases, "alertmanager", PROGRAM)
    told: list[str] = []
    (found,) = binaries.ensure(["alertmanager"], told.append)
    assert told == ["downloaded alertmanager, checksum verified"]
    assert found.source == "cache"
    assert found.path.is_relative_to(empty_cache)
    answer = subprocess.run([found.path], capture_output=True, text=True, check=True, env={"PATH": "/bin"})
    assert "from a release" in answer.stdout
    assert binaries.find("alertmanager") == found.path


def test_helm_is_downloaded_beside_its_checksum(releases: Path, empty_cache: Path) -> None:
    _publish_archive(releases, "helm", PROGRAM)
    told: list[str] = []
    (found,) = binaries.ensure(["helm"], told.append)
    assert told == ["downloaded helm, checksum verified"]
    assert found.path.read_bytes() == PROGRAM


def test_a_wrong_checksum_is_refused(releases: Path, empty_cache: Path) -> None:
    _publish_archive(releases, "alertmanager", PROGRAM, checksum="a" * 64)
    with pytest.raises(ChecksumMismatch, match="its publisher says aaaa"):
        binaries.ensure(["alertmanager"])
    assert list(ALERTMANAGER.bin.iterdir()) == []


def test_a_file_without_a_checksum_is_not_taken(releases: Path, tmp_path: Path) -> None:
    _publish_archive(releases, "prometheus", PROGRAM)
    published = release("prometheus", PROMETHEUS.pinned("prometheus"))
    assert published is not None
    (releases / published.checksums.split("/", 3)[3]).write_text("nothing of it\n")
    with pytest.raises(NotPublished, match="has no line for"):
        download(published, tmp_path / "prometheus")


def test_kwoks_checksum_is_githubs_digest(releases: Path, tmp_path: Path) -> None:
    published = release("kwok", KUBERNETES.pinned("kwok"))
    assert published is not None
    file = releases / published.url.split("/", 3)[3]
    file.parent.mkdir(parents=True)
    file.write_bytes(PROGRAM)
    description = releases / published.checksums.split("/", 3)[3]
    description.parent.mkdir(parents=True)
    digest = hashlib.sha256(PROGRAM).hexdigest()
    description.write_text(f'{{"assets": [{{"name": "{published.file}", "digest": "sha256:{digest}"}}]}}')
    download(published, tmp_path / "kwok")
    assert os.access(tmp_path / "kwok", os.X_OK)


def test_an_unreachable_publisher_is_noticed() -> None:
    assert not reachable("http://127.0.0.1:1/release")


def test_without_network_and_go_it_says_what_to_do(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_GITHUB", "http://127.0.0.1:1")
    with pytest.raises(ToolchainError, match=r"install Go[\s\S]*network[\s\S]*RUNBOOKS_TOOLCHAIN"):
        binaries.ensure(["alertmanager"])
    with pytest.raises(ToolchainError, match=r"run `uv run python -m sandbox\.binaries`"):
        binaries.find("alertmanager")


@pytest.mark.parametrize(("version", "taken"), [("0.25.0", True), ("0.21.0", False)])
def test_path_counts_only_where_the_version_fits(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, taken: bool
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "alertmanager").write_text(f"#!/bin/sh\necho 'alertmanager, version {version} (branch: x)'\n")
    (folder / "alertmanager").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    if taken:
        assert binaries.find("alertmanager") == folder / "alertmanager"
    else:
        with pytest.raises(ToolchainError):
            binaries.find("alertmanager")


@pytest.mark.parametrize(
    ("program", "arguments", "line", "taken"),
    [
        ("helm", "version --short", "v3.19.0+g3d8990f", True),
        ("helm", "version --short", "v4.0.1+g12500dd", False),
        ("helm", "version --short", "v3.8.2+g6e3701e", False),
        ("kubectl", "version --client", "Client Version: v1.36.1", True),
    ],
)
def test_each_program_is_asked_for_its_version_in_its_own_way(
    empty_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    program: str,
    arguments: str,
    line: str,
    taken: bool,
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / program).write_text(f'#!/bin/sh\n[ "$*" = "{arguments}" ] && echo "{line}"\n')
    (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    if taken:
        assert binaries.find(program) == folder / program
    else:
        with pytest.raises(ToolchainError):
            binaries.find(program)


def test_the_built_helm_says_its_version() -> None:
    answer = subprocess.run([binaries.find("helm"), "version", "--short"], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().startswith("v3.")


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


@pytest.fixture
def debians(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A machine with apt, whose package has an Alertmanager of a version; gives apt's log."""
    dpkg = shutil.which("dpkg-deb", path=os.defpath)
    if dpkg is None:
        pytest.skip("no dpkg-deb; on such a system there are no such packages")
    template = tmp_path / "default.tmpl"
    monkeypatch.setitem(modules.ALERTMANAGER.debian_reads, "alertmanager", str(template))

    def publish(version: str, *, lists: bool = True) -> Path:
        root, path = tmp_path / "root", tmp_path / "debian"
        for folder in (root / "DEBIAN", root / "usr" / "bin", path):
            folder.mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text(
            f"Package: prometheus-alertmanager\nVersion: {version}-1\nArchitecture: all\n"
            "Maintainer: A <a@example.test>\nDescription: x\n"
        )
        (root / "DEBIAN" / "postinst").write_text("#!/bin/sh\nexit 1\n")  # would be run if it were installed
        (root / "DEBIAN" / "postinst").chmod(0o755)
        program = root / "usr" / "bin" / "prometheus-alertmanager"
        program.write_text(f"#!/bin/sh\necho 'alertmanager, version {version} (branch: debian/sid)'\n")
        program.chmod(0o755)
        subprocess.run(["dpkg-deb", "--build", root, tmp_path / "it.deb"], check=True, env={"PATH": os.defpath})
        (path / "dpkg-deb").symlink_to(dpkg)
        (path / "apt-get").write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {tmp_path / "apt.log"}\n'
            f'case "$*" in *Lists=*) has_lists=true;; *) has_lists={"true" if lists else "false"};; esac\n'
            f'case "$*" in *" download "*) $has_lists && cp {tmp_path / "it.deb"} ./it_1_all.deb;; esac\n'
        )
        (path / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", f"{path}:{os.defpath}")
        monkeypatch.setenv("RUNBOOKS_GITHUB", "http://127.0.0.1:1")
        template.touch()
        return tmp_path / "apt.log"

    return publish


def test_debians_own_is_unpacked_where_nothing_can_be_downloaded(
    debians: Callable[[str], Path], empty_cache: Path
) -> None:
    log = debians("0.25.0")
    told: list[str] = []
    (found,) = binaries.ensure(["alertmanager"], told.append)
    assert told == ["unpacked Debian's alertmanager (prometheus-alertmanager_0.25.0-1)"]
    assert found.source == "Debian"
    assert found.path == debian._base() / "prometheus-alertmanager_0.25.0-1" / "prometheus-alertmanager"
    assert found.path.is_relative_to(empty_cache)
    assert binaries.find("alertmanager") == found.path
    assert [path.name for path in debian._base().iterdir()] == ["prometheus-alertmanager_0.25.0-1"]
    binaries.ensure(["alertmanager"])
    assert len(log.read_text().splitlines()) == 1  # once and for all


def test_apts_lists_are_fetched_for_ourselves_where_there_are_none(debians: Callable[..., Path]) -> None:
    log = debians("0.25.0", lists=False)
    (found,) = binaries.ensure(["alertmanager"])
    assert found.source == "Debian"
    first, update, second = log.read_text().splitlines()
    assert "Dir::State::Lists" not in first
    assert "update" in update
    for own in (update, second):
        assert f"Dir::State::Lists={debian._base()}/" in own  # the system's stay as they are


def test_debians_own_is_not_taken_where_it_would_not_find_its_template(
    debians: Callable[[str], Path], tmp_path: Path
) -> None:
    log = debians("0.25.0")
    (tmp_path / "default.tmpl").unlink()
    with pytest.raises(ToolchainError, match="install Go"):
        binaries.ensure(["alertmanager"])
    assert not log.exists()


@pytest.mark.parametrize("version", ["0.21.0", "1.0.0"])
def test_debians_own_of_another_version_is_not_taken(debians: Callable[[str], Path], version: str) -> None:
    debians(version)
    told: list[str] = []
    with pytest.raises(ToolchainError, match="install Go"):
        binaries.ensure(["alertmanager"], told.append)
    assert told == [
        f"Debian's alertmanager does not run here, or its version does not fit (prometheus-alertmanager_{version}-1)"
    ]


@pytest.mark.parametrize(
    ("total", "done", "expected", "elapsed", "line"),
    [
        (0, 0, 0, 12, "it: 12 s"),
        (0, 0, 40, 12, "it: 12 s of about 40 s"),
        (0, 0, 40, 50, "it: 50 s"),
        (100, 0, 300, 2, "it: 0 %, 2 s of about 300 s"),
        (100, 10, 300, 2, "it: 10 %, 2 s of about 300 s (a package)"),
        (100, 50, 300, 100, "it: 50 %, 100 s of about 200 s (a package)"),
        (100, 120, 300, 290, "it: 100 %, 290 s of about 290 s (a package)"),
    ],
)
def test_a_bar_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, *, total: float, done: float, expected: float, elapsed: float, line: str
) -> None:
    bar = progress.Bar("it", total, expected)
    monkeypatch.setattr(progress.Bar, "elapsed", elapsed)
    if done:
        bar.advance(done, "a package")
    assert bar.line(cells=False) == line


def test_what_takes_long_says_so_beside_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))
    with progress.Bar("quick"):
        pass
    with progress.Bar("slow") as slow:
        now[0] = 3.0
        wait_until(lambda: slow.shown)
    assert capsys.readouterr().err.splitlines() == ["slow: 3 s", "slow: done after 3 s"]


def test_two_runs_get_a_program_once(releases: Path, empty_cache: Path) -> None:
    _publish_archive(releases, "alertmanager", PROGRAM)
    ALERTMANAGER.cache.mkdir(parents=True)
    with (ALERTMANAGER.cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        program = textwrap.dedent("""
            from sandbox import binaries
            binaries.ensure(["alertmanager"], lambda text: print(text, flush=True))
        """)
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "RUNBOOKS_GITHUB_RAW": "http://127.0.0.1:1"}
        other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting for another run that is getting alertmanager\n"
        ALERTMANAGER.bin.mkdir()
        (ALERTMANAGER.bin / "alertmanager").write_bytes(PROGRAM)
    out, _ = other.communicate(timeout=240)
    assert other.returncode == 0
    assert out == ""  # found it done: neither downloaded nor built


def test_a_program_of_the_system_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolchainError, match="no rsync, which Barman restores with: install it"):
        system_programs.ensure("rsync", "Barman restores with")
