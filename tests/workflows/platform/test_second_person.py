"""Decisions that take two people, where settings say so."""

import json
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.service import ApprovalPolicy
from audit.payloads import Decoder
from audit.reading import read
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, waiting_for
from tests.workflows.worlds.platform import Platform
from workflows.platform.approval import Answer, Decision
from workflows.platform.run_status import RunStatus
from workflows.scaling.add_gpu_node import AddGpuNodeRequest


def world() -> Platform:
    made = Platform()
    made.node_comes = False
    made.approvals = ApprovalPolicy(allow_unsigned=True, second_person=("scale",))
    return made


async def says(handle: Handle, who: str, choice: str) -> Answer:
    word = Decision(who=who, role="on-call", question="put-back", choice=choice)
    return await handle.execute_update("decide", word, result_type=Answer)


async def asked(handle: Handle) -> Any:
    status = await handle.query("status", result_type=RunStatus)
    return status.questions[0]


async def test_a_choice_counts_when_a_second_person_makes_it(working: Working, client: Client) -> None:
    platform = world()
    async with working(platform.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), "add_gpu_node")
        await waiting_for(handle, "decide put-back")
        first = await says(handle, "ada", "put-back")
        assert "second person" in first.needs
        assert (await asked(handle)).first.by == "ada (on-call)"
        assert platform.desired == 3
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "put-back")
        assert "ada was the first" in str(refused.value.cause)
        assert (await says(handle, "bob", "put-back")).needs == ""
        assert (await handle.result())["outcome"] == "put back"
    assert platform.desired == 2
    history = json.loads((await handle.fetch_history()).to_json())
    story = read(history, namespace="default", workflow_id=handle.id, run_id="r", decoder=Decoder())
    assert [(question.choice, question.by) for question in story.questions] == [
        ("put-back", "ada (on-call) and bob (on-call)")
    ]


async def test_the_safe_default_takes_one_person(working: Working, client: Client) -> None:
    platform = world()
    async with working(platform.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), "add_gpu_node")
        await waiting_for(handle, "decide put-back")
        await says(handle, "ada", "put-back")
        assert (await says(handle, "ada", "keep")).needs == ""  # she may think again
        assert (await handle.result())["outcome"] == "no node"
    assert platform.desired == 3


async def test_one_person_is_not_enough_when_time_is_up(working: Working, client: Client) -> None:
    platform = world()
    async with working(platform.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), "add_gpu_node")
        await waiting_for(handle, "decide put-back")
        await says(handle, "ada", "put-back")
        assert (await handle.result())["outcome"] == "no node"
    assert platform.desired == 3
