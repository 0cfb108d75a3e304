"""What the tests of a restore (7.3) ask and wait for."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.steering import Handle, cause, until, waiting_for
from tests.workflows.worlds.damaged import BETWEEN
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore, PointInTimeRestoreRequest
from workflows.platform.approval import Decision

DORA = {"who": "dora", "role": "dba"}
NAME = "point_in_time_restore"
TARGET = BETWEEN


def request(**fields: Any) -> PointInTimeRestoreRequest:
    return PointInTimeRestoreRequest.model_validate({"target_time": TARGET, **fields})


async def decides(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting_for(handle, f"decide {question}")
    word = Decision(**DORA, question=question, choice=choice, reason=reason)
    await handle.execute_update(PointInTimeRestore.decide, word)


async def refused(client: Client, queue: str, asked: Any) -> str:
    handle = await client.start_workflow("PointInTimeRestore", asked, id=f"{NAME}-{id(asked)}", task_queue=queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return cause(failed.value).message


async def kept(handle: Handle) -> None:
    await until(handle, lambda status: status.phase == "Damaged copy kept")
