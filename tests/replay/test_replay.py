"""Recorded runs replay on today's code: what is running now survives the next deployment of the workers."""

import asyncio
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.workflow import NondeterminismError

from tests.replay.every_case import every_case
from tests.replay.guard import COMMANDS_TODO, HISTORIES, WHY
from tests.replay.replaying import FILES, RUNNERS, history, replayer
from workers.registry import PROCEDURES, procedure
from workflows.incident_response.p1_incident import P1Request, P1Result


def test_every_procedure_has_a_recorded_history() -> None:
    recorded = {file.stem.partition("-")[0] for file in FILES}
    assert recorded == {procedure.name for procedure in PROCEDURES}
    assert {file.stem for file in FILES} == every_case().keys()


@pytest.mark.parametrize("run_by", RUNNERS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_recorded_histories_replay(file: Path, run_by: str) -> None:
    try:
        await replayer(procedure(file.stem.partition("-")[0]).workflow, run_by).replay_workflow(history(file))
    except NondeterminismError as error:
        pytest.fail(f"{file.stem}: {error}\n\n{WHY}\n\n{COMMANDS_TODO}", pytrace=False)


@workflow.defn(name="P1Incident", sandboxed=False)
class Broken:
    """What a careless change looks like: a timer before anything else."""

    @workflow.run
    async def run(self, request: P1Request) -> P1Result:
        await asyncio.sleep(1)
        raise AssertionError


async def test_a_broken_workflow_does_not_replay() -> None:
    with pytest.raises(NondeterminismError):
        await replayer(Broken).replay_workflow(history(HISTORIES / "p1_incident-asked.json"))
