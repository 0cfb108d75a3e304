"""Free ports on the loopback address, promised to one process of this machine at a time.

Asking the kernel for a free port and closing it again is a race: two sandboxes that start together can be given
the same one. So each port is also locked through a file for as long as the process that asked lives, and ports come
from below the range that outgoing connections use.
"""

import errno
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000
_ATTEMPTS = 500
_held: dict[int, int] = {}


def _lock_directory() -> Path:
    directory = Path(tempfile.gettempdir()) / f"durable-runbooks-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _lock(port: int) -> bool:
    handle = os.open(_lock_directory() / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    _held[port] = handle
    return True


def free_port() -> int:
    """Give a port on which nothing listens, and which no other caller of this machine is given while we live.

    Raises:
        RuntimeError: none was found.

    """
    for _ in range(_ATTEMPTS):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if port in _held or not _lock(port):
            continue
        if _bindable(port):
            return port
        os.close(_held.pop(port))
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST} on {LOOPBACK}")
