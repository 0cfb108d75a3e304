"""`python -m tests.fuzz [--minutes M] [--seed N]`: send anything to runs of every procedure; says what sticks or leaks.

It starts a Temporal of its own. Each round has the next seed; the one that fails is printed, and finds it again.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sandbox.ready import ready
from sandbox.temporal import Temporal as Server
from tests.fuzz.boundary import boundary
from tests.fuzz.fuzzing import fuzz
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

_A_ROUND = 20


async def rounds(address: str, *, minutes: float, seed: int) -> int:
    """Fuzz until the time is up; gives how many rounds that were."""
    loop = asyncio.get_running_loop()
    until = time.monotonic() + minutes * 60

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    done = 0
    async with boundary(await connect(TemporalSettings(address=address))) as border:
        while done == 0 or time.monotonic() < until:
            now = seed + done
            try:
                await asyncio.to_thread(fuzz, run, border, begin=now, examples=_A_ROUND)
            except BaseException:
                sys.stderr.write(f"seed {now} has found something: make fuzz MINUTES=0 SEED={now}\n")
                raise
            done += 1
            sys.stdout.write(f"seed {now}: {_A_ROUND} groups, nothing stuck, nothing leaked\n")
    return done


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, ready(Server(Path(folder), SEARCH_ATTRIBUTES)) as server:
        asyncio.run(rounds(server.address, minutes=options.minutes, seed=options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
