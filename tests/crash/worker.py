"""The product's worker as a process that kills itself where it is told to.

Processes are forked from one that has imported everything (see `warm`): a worker's imports take seconds, and a crash
run starts two workers for every kill.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from tests.crash.killer import Killer
from tests.crash.scenario import Case
from workers import settings, telemetry
from workers.__main__ import serve

FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def start(case: Case, kill: str | None = None) -> ForkServerProcess:
    """Start a worker of the case; it kills itself at `kill`, if nobody of the case has done so before."""
    arguments = (dict(os.environ), case.directory, case.config, kill, case.mark)
    process = FORKS.Process(target=_work, args=arguments, daemon=True)
    process.start()
    return process


async def ended(process: ForkServerProcess) -> None:
    """Wait until a worker has ended."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, end.set)
    try:
        await end.wait()
    finally:
        loop.remove_reader(process.sentinel)


def kill(process: ForkServerProcess) -> None:
    """Kill a worker as a crash does, and wait until it is gone."""
    process.kill()
    process.join()


def _work(environment: Mapping[str, str], directory: Path, config: Path, kill: str | None, mark: Path) -> None:
    log = os.open(directory / "worker.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for output in (1, 2):
        os.dup2(log, output)
    os.environ.clear()
    os.environ.update(environment, RUNBOOKS_CONFIG=str(config))
    loaded = settings.load()
    telemetry.configure_logging(loaded.observability)
    asyncio.run(serve(loaded, interceptors=[Killer(kill, mark, _data(loaded))] if kill else []))


def _data(loaded: settings.Settings) -> dict[str, Path]:
    servers = (found for database in loaded.databases.values() for found in database.servers.items())
    return {name: Path(server.directory) for name, server in servers if server.directory}
