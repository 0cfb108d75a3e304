"""Plays an ingress: answers TLS handshakes with what a Secret of the cluster holds.

As real ones do, it either sees a new content by itself, or goes on with what it had when its pods started: then it
takes the new one once its Deployment has been restarted.
"""

import base64
import contextlib
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from activities.kubernetes.templates import RESTARTED_AT
from sandbox import kubernetes_api
from sandbox.ports import LOOPBACK, free_port

_SECONDS = 5.0


@dataclass(frozen=True)
class Restarts:
    """The Deployment whose restart makes it read the Secret again."""

    namespace: str
    deployment: str


class TlsIngress:
    """One address of an ingress; a context manager that serves meanwhile.

    Args:
        kubeconfig: The cluster.
        namespace: Of the Secret.
        secret: A TLS Secret.
        address: An address of the loopback network.
        port: Where it listens; a free one where none is given.
        restarts: None where it sees every change by itself.

    """

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        secret: str,
        *,
        address: str = LOOPBACK,
        port: int | None = None,
        restarts: Restarts | None = None,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._restarts = restarts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = port or free_port()
        self.address = f"{address}:{self.port}"
        self._listener.bind((address, self.port))
        self._listener.listen(32)
        self._listener.settimeout(0.1)
        self._started = ""
        self._version = ""
        self._context: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_SECONDS)
        self._listener.close()

    def _serve(self) -> None:
        with kubernetes_api.connect(self._kubeconfig) as api:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    accepted, _ = self._listener.accept()
                    with accepted, contextlib.suppress(OSError):
                        self._answer(api, accepted)

    def _answer(self, api: Any, accepted: socket.socket) -> None:
        context = self._current(api)
        accepted.settimeout(_SECONDS)
        with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as connection:
            connection.do_handshake()

    def _current(self, api: Any) -> ssl.SSLContext:
        started = self._restarted_at(api)
        if self._context is None or self._restarts is None or started != self._started:
            secret = api.get(self._path).raise_for_status().json()
            version = secret["metadata"]["resourceVersion"]
            if self._context is None or version != self._version:
                self._context = _context(secret["data"])
            self._started, self._version = started, version
        return self._context

    def _restarted_at(self, api: Any) -> str:
        if self._restarts is None:
            return ""
        at = f"/apis/apps/v1/namespaces/{self._restarts.namespace}/deployments/{self._restarts.deployment}"
        template = api.get(at).raise_for_status().json()["spec"]["template"]
        return str((template["metadata"].get("annotations") or {}).get(RESTARTED_AT, ""))


def _context(data: dict[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = (Path(folder) / name for name in ("tls.crt", "tls.key"))
        for file in (certificate, key):
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(data[file.name]))
        context.load_cert_chain(certificate, key)
    return context
