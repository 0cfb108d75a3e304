"""Prometheus, scraping and evaluating once a second, as a child process."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox import binaries, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess


class Prometheus:
    """One server; `targets` are `job → host:port`, `rules` are Prometheus' own alerting rules."""

    name = "prometheus"

    def __init__(
        self,
        directory: Path,
        *,
        targets: Mapping[str, str],
        rules: Sequence[Mapping[str, Any]] = (),
        alertmanager: str | None = None,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._targets = dict(targets)
        self._rules = [dict(rule) for rule in rules]
        self._alertmanager = alertmanager
        self._process: ServerProcess | None = None

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it, once started."""
        return [self._process] if self._process else []

    def start(self) -> None:
        """Write the configuration and start with no data."""
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        shutil.rmtree(data, ignore_errors=True)
        rules = self.directory / "rules.yaml"
        rules.write_text(
            yaml.safe_dump({"groups": [{"name": "sandbox", "rules": self._rules}]}, sort_keys=False), encoding="utf-8"
        )
        config = self.directory / "prometheus.yaml"
        config.write_text(yaml.safe_dump(self._configuration(rules), sort_keys=False), encoding="utf-8")
        self._process = ServerProcess(
            name="prometheus",
            directory=self.directory,
            argv=[
                binaries.find("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                f"--web.external-url={self.url}",
                "--log.level=warn",
            ],
            stop_timeout=3.0,
        )
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it can be queried.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        assert self._process is not None
        self._process.wait_ready(probes.http(f"{self.url}/-/ready"), timeout)

    def stop(self) -> None:
        """Shut down."""
        for process in self.processes:
            process.stop()

    def _configuration(self, rules: Path) -> dict[str, Any]:
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in self._targets.items()
            ],
        }
        if self._alertmanager is not None:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [self._alertmanager]}]}]}
        return config
