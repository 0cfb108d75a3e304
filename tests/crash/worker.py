"""`python -m tests.crash.worker`: the product's worker, which kills itself where it is told to."""

import asyncio
import os
from pathlib import Path

from tests.crash.killer import Killer
from workers import settings, telemetry
from workers.__main__ import serve


def main() -> None:
    loaded = settings.load()
    telemetry.configure_logging(loaded.observability)
    at = os.environ.get("RUNBOOKS_CRASH_AT")
    killers = [Killer(at, Path(os.environ["RUNBOOKS_CRASH_MARK"]))] if at else []
    asyncio.run(serve(loaded, interceptors=killers))


if __name__ == "__main__":
    main()
