"""The Slack process, killed after Temporal has taken a word and before Slack is answered."""

import os
import signal
import sys
from typing import Any

from temporalio.client import WorkflowHandle

from starters.slack.__main__ import main


def _die_once_taken() -> None:
    start = WorkflowHandle.start_update

    async def start_and_die(self: Any, *args: Any, **options: Any) -> Any:
        await start(self, *args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    WorkflowHandle.start_update = start_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    _die_once_taken()
    sys.exit(main())
