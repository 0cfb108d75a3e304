"""A service that writes without pause, finds its database by its Secret alone, and remembers what was acknowledged."""

import base64
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from sandbox import kubernetes_api
from sandbox.service_database import SECRET

CONNECTIONS, EACH_PER_SECOND = 4, 50
_AGAIN_SECONDS = 0.02
_WRITE = "INSERT INTO events (kind, body) VALUES ('written', jsonb_build_object('number', %s::text))"


@dataclass
class Writer:
    """Four connections, 200 transactions a second between them."""

    kubeconfig: Path
    namespace: str
    acknowledged: dict[str, datetime] = field(default_factory=dict)
    sent: dict[str, datetime] = field(default_factory=dict)
    """What is acknowledged was committed between the two, on a busy machine long before anybody notes it."""
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write until the context ends."""
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """End all of it."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: datetime) -> int:
        """Count what was acknowledged after a moment."""
        return sum(at > moment for at in list(self.acknowledged.values()))

    def longest_gap(self) -> float:
        """Give the longest time, in seconds, between two acknowledgements of whichever connections."""
        times = sorted(self.acknowledged.values())
        return max((after - before).total_seconds() for before, after in itertools.pairwise(times))

    def missing(self, url: str) -> dict[str, datetime]:
        """Give what was acknowledged and is not there."""
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT body->>'number' FROM events WHERE kind = 'written'").fetchall()
        there = {row[0] for row in found}
        return {number: at for number, at in self.acknowledged.items() if number not in there}

    def _write(self, writer: int) -> None:
        number = 0
        with kubernetes_api.connect(self.kubeconfig) as api:
            while not self._end.is_set():
                path = f"/api/v1/namespaces/{self.namespace}/secrets/{SECRET}"
                url = base64.b64decode(api.get(path).raise_for_status().json()["data"]["url"]).decode()
                with (
                    contextlib.suppress(psycopg.Error),
                    psycopg.connect(url, autocommit=True, connect_timeout=2) as connection,
                ):
                    due = time.monotonic()
                    while not self._end.wait(max(due - time.monotonic(), 0)):
                        number += 1  # a number whose answer was lost is not used again
                        name = f"{writer}/{number}"
                        self.sent[name] = datetime.now(UTC)
                        connection.execute(_WRITE, (name,))
                        self.acknowledged[name] = datetime.now(UTC)
                        due = max(due + 1 / EACH_PER_SECOND, time.monotonic() - 1)
                self._end.wait(_AGAIN_SECONDS)
