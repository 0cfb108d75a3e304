"""Who gives back what a run has left held tells the service's people, once, and where there was something to give."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.common.effects import Change
from activities.holds.holds import GIVEN_BACK, GiveBack
from activities.holds.kinds import Hold
from activities.messages.chat.chat import Message, PostMessage
from tests.workflows.conftest import Working
from workflows.upkeep.give_back_hold import GiveBackHold, GiveBackRequest

HOLD = Hold(
    service="api",
    channel="#api",
    namespace="tensafe",
    name="web",
    kind="autoscaler",
    run="manual-scale-up/<api>",
    until=datetime(2026, 3, 1, 3, tzinfo=UTC),
)


def activities(change: Change, posts: list[PostMessage], *, mute: bool = False) -> list[Callable[..., Any]]:
    @activity.defn(name="holds.give_back")
    async def give_back(request: GiveBack) -> Change:
        assert request.hold == HOLD
        return change

    @activity.defn(name="slack.post")
    async def post(message: PostMessage) -> Message:
        posts.append(message)
        if mute:
            raise ApplicationError("no such channel", type="Refused", non_retryable=True)
        return Message(channel=message.channel, message_id="1", applied=True)

    return [give_back, post]


async def given(client: Client, queue: str) -> str:
    return await client.execute_workflow(
        GiveBackHold.run, GiveBackRequest(hold=HOLD), id=f"give-back-{uuid4()}", task_queue=queue
    )


@pytest.mark.parametrize(
    ("applied", "after", "told"),
    [(True, "resumed", True), (False, GIVEN_BACK, True), (False, "held", False)],
)
async def test_people_are_told_of_what_was_given_back(
    working: Working, client: Client, after: str, *, applied: bool, told: bool
) -> None:
    posts: list[PostMessage] = []
    async with working(activities(Change(target="hpa/web", after=after, applied=applied), posts)) as queue:
        assert await given(client, queue) == f"hpa/web: {after}"
    assert [post.channel for post in posts] == (["#api"] if told else [])
    assert all("Given back" in post.text and "<api>" not in post.text for post in posts)


async def test_it_is_given_back_though_nobody_can_be_told(working: Working, client: Client) -> None:
    posts: list[PostMessage] = []
    change = Change(target="hpa/web", after="resumed", applied=True)
    async with working(activities(change, posts, mute=True)) as queue:
        assert await given(client, queue) == "hpa/web: resumed"
    assert len(posts) == 1
