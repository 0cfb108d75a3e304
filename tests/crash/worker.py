"""The product's worker as a process that kills itself where it is told to."""

import argparse
import asyncio
import os
from pathlib import Path

from tests.crash.forks import Fork
from tests.crash.killer import Killer
from tests.crash.scenario import Case
from tests.plugins import deadlock_limit
from workers import settings, telemetry
from workers.__main__ import serve


def start(case: Case, kill: str | None = None) -> Fork:
    """Start a worker of the case; it kills itself at `kill`, if nobody of the case has done so before."""
    told = ("--kill", kill, "--mark", case.mark) if kill else ()
    return case.servers.forks.python(__name__, case.config, *told, log=case.log)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.worker", description=__doc__)
    parser.add_argument("config", type=Path, help="runbooks.toml")
    parser.add_argument("--kill", help="where; see tests/crash/killer.py")
    parser.add_argument("--mark", type=Path, help="the file that says that it was done")
    options = parser.parse_args()
    os.environ["RUNBOOKS_CONFIG"] = str(options.config)
    deadlock_limit.relax()
    loaded = settings.load()
    telemetry.configure_logging(loaded.observability)
    interceptors = [Killer(options.kill, options.mark, _data(loaded))] if options.kill else []
    asyncio.run(serve(loaded, interceptors=interceptors))


def _data(loaded: settings.Settings) -> dict[str, Path]:
    servers = (found for database in loaded.databases.values() for found in database.servers.items())
    return {name: Path(server.directory) for name, server in servers if server.directory}


if __name__ == "__main__":
    main()
