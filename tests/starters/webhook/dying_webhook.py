"""The webhook as a process, killed after Temporal accepted and before it answers."""

import os
import signal
import sys
from typing import Any

from temporalio.client import Client

from starters.webhook.__main__ import main


def _die_once_accepted() -> None:
    start = Client.start_workflow

    async def start_and_die(self: Client, *args: Any, **options: Any) -> Any:
        await start(self, *args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    Client.start_workflow = start_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    _die_once_accepted()
    sys.exit(main())
