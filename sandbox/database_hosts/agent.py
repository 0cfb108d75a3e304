"""The database servers' machines: one process that owns the servers, and does what its clients ask.

When it ends or is killed, so do the servers. Started again it starts those that were enabled, as machines do.
"""

import contextlib
import json
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from types import FrameType
from typing import Any

import psycopg

from sandbox.database_hosts.client import LOOPBACK
from sandbox.database_hosts.following import rejoin
from sandbox.database_hosts.plan import Plan
from sandbox.database_hosts.server import DatabaseServer, HostError
from sandbox.processes import ServerFailed

_LOOK_SECONDS = 0.1
_BACKLOG = 32
_ENDING = {"stop", "fence", "discard"}


class Agent:
    """Does one thing at a time to each server."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._servers = {name: DatabaseServer(plan, name) for name in plan.servers}

    def serve(self) -> None:
        """Answer until SIGTERM."""
        signal.signal(signal.SIGTERM, _leave)
        listener = Listener((LOOPBACK, self._plan.port), backlog=_BACKLOG, authkey=bytes.fromhex(self._plan.key))
        threading.Thread(target=self._look_after, name="look-after", daemon=True).start()
        try:
            while True:
                with contextlib.suppress(AuthenticationError, EOFError, OSError):  # whoever that was, it is gone
                    line = listener.accept()
                    threading.Thread(target=self._answer, args=(line,), daemon=True).start()
        finally:
            with ThreadPoolExecutor() as pool:
                list(pool.map(DatabaseServer.shut_down, self._servers.values()))

    def _answer(self, line: "Connection[Any, Any]") -> None:
        with line, contextlib.suppress(EOFError, OSError):  # it is done also where nobody waits for the answer
            asked = json.loads(line.recv_bytes())
            done, said = self._do(asked["verb"], asked["server"], asked["source"])
            line.send_bytes(json.dumps({"done": done, "said": said}).encode())

    def _do(self, verb: str, name: str, source: str | None) -> tuple[bool, str]:
        try:
            server = self._named(name)
            if verb in _ENDING:
                server.interrupt()
            with server.lock:
                return True, self._act(verb, server, source)
        except (HostError, ServerFailed) as error:
            return False, str(error)
        except (OSError, psycopg.Error) as error:
            return False, f"{verb} of {name}: {type(error).__name__}: {str(error).strip()}"

    def _named(self, name: str) -> DatabaseServer:
        if name not in self._servers:
            raise HostError(f"there is no server {name!r}; there are: {', '.join(self._servers)}")
        return self._servers[name]

    def _act(self, verb: str, server: DatabaseServer, source: str | None) -> str:
        match verb:
            case "start":
                server.start()
            case "start-despite-fence":
                server.start(despite_fence=True)
            case "stop":
                server.stop()
            case "fence":
                server.fence()
            case "rejoin":
                return f"{server.name} {rejoin(server, self._named(source or ''))}"
            case "discard":
                _discard(server)
            case _:
                raise HostError(f"nobody knows how to {verb}")
        return f"{server.name}: {verb}, done"

    def _look_after(self) -> None:
        """Start what is enabled, and where the machines are to do that, what has crashed."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(_boot, self._servers.values()))
        while self._plan.restart_crashed:
            time.sleep(_LOOK_SECONDS)
            for server in self._servers.values():
                if server.crashed and server.lock.acquire(blocking=False):
                    try:
                        if server.crashed:
                            _start(server)
                    finally:
                        server.lock.release()


def _boot(server: DatabaseServer) -> None:
    with server.lock:
        if server.enabled.exists() and not server.fenced.exists():
            _start(server)


def _start(server: DatabaseServer) -> None:
    with contextlib.suppress(HostError, ServerFailed, OSError):  # its log says why
        server.start()


def _discard(server: DatabaseServer) -> None:
    server.enabled.unlink(missing_ok=True)
    server.kill()
    for name in ("data", "data.new"):
        shutil.rmtree(server.folder / name, ignore_errors=True)
    # Nothing is left that could take writes, and what is restored here is another server.
    for marker in (server.fenced, server.folder / "rejoining"):
        marker.unlink(missing_ok=True)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
