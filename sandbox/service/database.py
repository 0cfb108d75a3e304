"""The service's use of its database: every pod knows the URL that its Secret had when it was created."""

import base64
import contextlib
import threading

import httpx
import psycopg

from sandbox import kubernetes_api
from sandbox.service.state import DatabaseStatus, ServiceState

_EVERY_SECONDS = 0.5
_OPTIONS = "-c statement_timeout=2s"
_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"


class DatabaseUse:
    """Tries the database as the pods would, and tells the service's state; does nothing where there is no Secret."""

    def __init__(self, api: httpx.Client, namespace: str, secret: str, state: ServiceState) -> None:
        self._api, self._namespace, self._secret = api, namespace, secret
        self._state = state
        self._url: str | None = None
        self._of_pods: dict[str, str] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin, in threads that end with the process."""
        for target in (self._follow, self._run):
            threading.Thread(target=target, name=f"database-{target.__name__}", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()

    def _follow(self) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/secrets"
        name = {"fieldSelector": f"metadata.name={self._secret}"}
        for found in kubernetes_api.follow(self._api, path, name, self._stop):
            url = found.get(self._secret, {}).get("data", {}).get("url")
            self._url = base64.b64decode(url).decode() if url else None

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            if self._url is not None:
                self._state.tell_database(self._look(self._url))

    def _look(self, now: str) -> DatabaseStatus:
        """Try what the pods use; the worst of them counts."""
        pods = {pod.name for pod in self._state.now.pods if not pod.terminating}
        self._of_pods = {name: self._of_pods.get(name, now) for name in pods}
        found = {_try(url) for url in set(self._of_pods.values()) or {now}}
        worst: tuple[DatabaseStatus, ...] = ("unreachable", "read-only")
        return next((status for status in worst if status in found), "ok")


def _try(url: str) -> DatabaseStatus:
    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(url, connect_timeout=2, options=_OPTIONS, autocommit=True) as connection,
    ):
        row = connection.execute(_READ_ONLY).fetchone()
        return "read-only" if row and row[0] else "ok"
    return "unreachable"
