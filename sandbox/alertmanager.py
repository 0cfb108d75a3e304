"""Alertmanager, telling one webhook, as a child process."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from sandbox import binaries, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess


class Alertmanager:
    """One server; posts each group of alerts to `webhook_url` with the bearer token of a file."""

    name = "alertmanager"

    def __init__(self, directory: Path, *, webhook_url: str, bearer_file: Path | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self.url = f"http://{self.address}"
        self._webhook_url = webhook_url
        self._bearer_file = bearer_file
        self._process: ServerProcess | None = None

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it, once started."""
        return [self._process] if self._process else []

    def start(self) -> None:
        """Write the configuration and start with no alerts."""
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        shutil.rmtree(data, ignore_errors=True)
        config = self.directory / "alertmanager.yaml"
        config.write_text(yaml.safe_dump(self._configuration(), sort_keys=False), encoding="utf-8")
        self._process = ServerProcess(
            name="alertmanager",
            directory=self.directory,
            argv=[
                binaries.find("alertmanager"),
                f"--config.file={config}",
                f"--storage.path={data}",
                f"--web.listen-address={self.address}",
                f"--web.external-url={self.url}",
                "--cluster.listen-address=",  # alone: no gossip, and no waiting for it to settle
                "--log.level=warn",
            ],
            stop_timeout=3.0,
        )
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it accepts alerts.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        assert self._process is not None
        self._process.wait_ready(probes.http(f"{self.url}/-/ready"), timeout)

    def stop(self) -> None:
        """Shut down."""
        for process in self.processes:
            process.stop()

    def _configuration(self) -> dict[str, Any]:
        webhook: dict[str, Any] = {"url": self._webhook_url, "send_resolved": True}
        if self._bearer_file is not None:
            webhook["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": str(self._bearer_file)}}
        return {
            "route": {
                "receiver": "runbooks",
                "group_by": ["alertname", "service"],
                "group_wait": "1s",
                "group_interval": "1s",
                "repeat_interval": "5m",
            },
            "receivers": [{"name": "runbooks", "webhook_configs": [webhook]}],
        }
