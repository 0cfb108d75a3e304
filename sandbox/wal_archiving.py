"""`python -m sandbox.wal_archiving`: what `barman cron` does every minute, as often as it is needed.

Keeps `barman receive-wal` running, which ends whenever its server does, and archives what is complete. Barman archives
a segment when the next one has begun; where nobody writes, that is begun here, as a busy service would.
"""

import argparse
import contextlib
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

import psycopg

from activities.common.children import tied
from sandbox.barman import PROGRAM, end_receivers, is_receiving

_LOOK_SECONDS = 0.1
_PAUSE_SECONDS = 2.0
"""From a receiver's end to the next: who has stopped it, to reset it, needs a moment in which none runs."""
_WAL_NAME = 24
"""Characters of a complete segment's name; a history or a partial file has others."""


class Archiving:
    """The processes of one server's log."""

    def __init__(self, config: Path, server: str, conninfo: str) -> None:
        self._config, self._server, self._conninfo = config, server, conninfo
        self._locks = config.parent / "home"
        self._streaming = self._locks / server / "streaming"
        self._receiver: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Go on until SIGTERM."""
        end_receivers(self._streaming)
        try:
            while True:
                self._keep_receiving()
                self._archive()
                time.sleep(_LOOK_SECONDS)
        finally:
            if self._receiver is not None:
                self._receiver.terminate()
                self._receiver.wait()
            end_receivers(self._streaming)

    def _keep_receiving(self) -> None:
        if self._receiver is not None and self._receiver.poll() is None:
            return
        if self._receiver is not None:
            time.sleep(_PAUSE_SECONDS)
        if not is_receiving(self._locks, self._server):  # a `barman config-switch` starts one itself
            end_receivers(self._streaming)
            self._receiver = self._barman("receive-wal")

    def _archive(self) -> None:
        names = sorted(path.name for path in self._streaming.glob("*"))
        if any(not name.endswith(".partial") for name in names[:-1]):
            self._barman("archive-wal").wait()
        elif names and len(names[-1]) == _WAL_NAME:
            with contextlib.suppress(psycopg.Error), psycopg.connect(self._conninfo, autocommit=True) as connection:
                # No commit, which would wait for a synchronous replica.
                connection.execute("SELECT pg_logical_emit_message(false, 'wal-archiving', '', true)")

    def _barman(self, command: str) -> "subprocess.Popen[bytes]":
        bound = tied([*PROGRAM, "-c", str(self._config), command, self._server])
        return subprocess.Popen(bound.argv, stdin=subprocess.DEVNULL, **bound.how)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.wal_archiving", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--conninfo", required=True, help="how the server that takes writes is reached")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    Archiving(options.config, options.server, options.conninfo).run()


if __name__ == "__main__":
    main()
