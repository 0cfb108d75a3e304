"""A TLS server that answers with what a test gives it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.ports import free_port


@contextmanager
def tls_server(folder: Path, chain: bytes, key: bytes, address: str = "127.0.0.1") -> Iterator[str]:
    """Answer handshakes with that certificate; gives the address."""
    files = [folder / f"{address}.crt", folder / f"{address}.key"]
    for file, content in zip(files, (chain, key), strict=True):
        file.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(files[0]), str(files[1]))
    stop = threading.Event()
    with socket.socket() as listener:
        port = free_port()
        listener.bind((address, port))
        listener.listen()
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    accepted, _ = listener.accept()
                    with accepted, context.wrap_socket(accepted, server_side=True):
                        pass
                except OSError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{address}:{port}"
        stop.set()
        thread.join(5)
