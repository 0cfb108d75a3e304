"""A watch on the cluster from outside, with a thread and a connection of its own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox import kubernetes_api

GIVEN_UP_AFTER = 30.0


class Watch:
    """Notes when the objects of a collection, by name, are first as they should be."""

    def __init__(self, kubeconfig: Path, path: str, reached: Callable[[dict[str, Any]], bool]) -> None:
        self._kubeconfig = kubeconfig
        self._path = path
        self._reached = reached
        self._listed = threading.Event()
        self._done = threading.Event()
        self._at = 0.0
        threading.Thread(target=self._follow, daemon=True).start()
        if not self._listed.wait(GIVEN_UP_AFTER):
            raise RuntimeError(f"no watch on {path} in {GIVEN_UP_AFTER:g} s")

    def seen_at(self) -> float:
        """Wait for it; the time is `perf_counter`'s."""
        if not self._done.wait(GIVEN_UP_AFTER):
            raise RuntimeError(f"{self._path} did not come to be as expected in {GIVEN_UP_AFTER:g} s")
        return self._at

    def _follow(self) -> None:
        with kubernetes_api.connect(self._kubeconfig) as api:
            # Ends by what is expected, or with this process: whoever waits for it in vain fails.
            for objects in kubernetes_api.follow(api, self._path, {}, threading.Event()):
                now = time.perf_counter()
                self._listed.set()
                if self._reached(objects):
                    self._at = now
                    self._done.set()
                    return
