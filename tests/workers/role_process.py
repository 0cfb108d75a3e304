"""A worker of some roles as a process: `python -m tests.workers.role_process PLACE ROLE…`.

With `--build-id ID` it is a version. With `--kill WHERE --mark FILE` it kills itself once: `tests/crash/killer.py` says
what WHERE is.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from temporalio.worker import Interceptor

from tests.crash.killer import Killer
from tests.workers.roles import Place, be_quick
from workers.clients import connect
from workers.queues import Role

STARTED = "worker started"


async def _work(place: Place, roles: Sequence[Role], build_id: str | None, interceptors: Sequence[Interceptor]) -> None:
    client = await connect(place.settings.temporal)
    async with place.worker(client, *roles, build_id=build_id, interceptors=interceptors):
        sys.stdout.write(f"{STARTED}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.workers.role_process", description=__doc__)
    parser.add_argument("place", help="JSON")
    parser.add_argument("roles", nargs="+", choices=get_args(Role))
    parser.add_argument("--build-id", help="its version")
    parser.add_argument("--kill")
    parser.add_argument("--mark", type=Path)
    given = parser.parse_args()
    be_quick()
    interceptors = [Killer(given.kill, given.mark, {})] if given.kill else []
    asyncio.run(_work(Place(**json.loads(given.place)), cast("list[Role]", given.roles), given.build_id, interceptors))


if __name__ == "__main__":
    main()
