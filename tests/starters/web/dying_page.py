"""The operators' page as a process, killed after Temporal has taken a word and before the browser is answered."""

import os
import signal
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowUpdateStage

from starters.__main__ import main


def _die_once_taken() -> None:
    async def start_and_die(self: Any, *args: Any, **options: Any) -> Any:
        await self.start_update(*args, **options, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        os.kill(os.getpid(), signal.SIGKILL)

    WorkflowHandle.execute_update = start_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    _die_once_taken()
    main()
