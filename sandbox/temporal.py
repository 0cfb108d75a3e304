"""Temporal's development server with its Web UI, its histories in a file, as a child process."""

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.common import SearchAttributeKey

from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerFailed, ServerProcess

_TYPES: dict[int, str] = {
    IndexedValueType.INDEXED_VALUE_TYPE_TEXT: "Text",
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    IndexedValueType.INDEXED_VALUE_TYPE_INT: "Int",
    IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE: "Double",
    IndexedValueType.INDEXED_VALUE_TYPE_BOOL: "Bool",
    IndexedValueType.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST: "KeywordList",
}


def program(name: str) -> Path:
    """Find a program that a wheel has put beside the Python that runs us, or else on PATH.

    Raises:
        ServerFailed: it is not installed; says how to install it.

    """
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    if found := shutil.which(name):
        return Path(found)
    raise ServerFailed(f"`{name}` is not installed: run `uv sync`, which installs the sandbox's wheels")


class Temporal:
    """One server; `restart` finds the histories of before at the same address.

    `settings` are the server's own (dynamic configuration), beside ours.
    """

    name = "temporal"

    def __init__(
        self,
        directory: Path,
        search_attributes: Iterable[SearchAttributeKey[Any]] = (),
        settings: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.ui_port = free_port()
        self.metrics_port = free_port()
        self.http_port = free_port()
        self.file = directory / "temporal.db"
        self.address = f"{LOOPBACK}:{self.port}"
        self.ui_url = f"http://{LOOPBACK}:{self.ui_port}"
        self._process = ServerProcess(
            name="temporal",
            directory=directory,
            argv=[program("temporal"), "server", "start-dev", *self._options(tuple(search_attributes), settings)],
        )

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it."""
        return [self._process]

    def start(self) -> None:
        """Start with no histories."""
        for path in self.directory.glob(f"{self.file.name}*"):
            path.unlink()
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until the frontend and the Web UI answer.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        self._process.wait_ready(probes.http(f"http://{LOOPBACK}:{self.http_port}/api/v1/namespaces/default"), timeout)
        # Its Web UI listens before the frontend does, then answers 503 until it has dialled that again, a second later.
        self._process.wait_ready(probes.http(f"{self.ui_url}/api/v1/namespaces"), timeout)

    def stop(self) -> None:
        """Shut down."""
        self._process.stop()

    def remove(self) -> None:
        """End it at once, for whom its histories are of no use any more: asked to, it waits for open calls."""
        self._process.kill()

    def restart(self) -> None:
        """Start again on the same file and ports, after `stop` or a kill of its process.

        Raises:
            ServerFailed: it did not come back.

        """
        self._process.start()
        self.wait_ready()

    def _options(
        self, search_attributes: tuple[SearchAttributeKey[Any], ...], settings: Mapping[str, object]
    ) -> list[str]:
        return [
            f"--ip={LOOPBACK}",
            f"--port={self.port}",
            f"--ui-port={self.ui_port}",
            f"--http-port={self.http_port}",
            f"--metrics-port={self.metrics_port}",
            f"--db-filename={self.file}",
            # A kill -9 loses nothing by this, only a power cut would; starting a run takes a fifth of the time.
            *("--sqlite-pragma", "synchronous=0", "--sqlite-pragma", "journal_mode=wal"),
            # Its one history shard hands tasks on at most this often a second. At the default of 20, each step of a run
            # waits for 36 to 40 ms; production has hundreds of shards (deploy/temporal/dynamicconfig.yaml).
            *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"),
            *(part for name, value in settings.items() for part in ("--dynamic-config-value", f"{name}={value}")),
            "--ui-disable-news-fetch",
            "--log-level=warn",
            *(
                part
                for key in search_attributes
                for part in ("--search-attribute", f"{key.name}={_TYPES[key.indexed_value_type]}")
            ),
        ]
