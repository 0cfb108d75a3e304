"""A service that says it is healthy while its requests fail: a young release is asked about where they came with it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from activities.monitoring.prometheus import Metrics, MetricsRequest, Point, Series, SeriesRequest
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.world import World, instead
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Request, P1Result
from workflows.platform.approval import Decision

CLOSING = Closing(who="ada", role="commander", resolution="As it was seen", root_cause="v1.2.4")


class Failing(World):
    """v1.2.4 went out a minute ago: its pods are ready, its health is good, and half of its requests fail."""

    def __init__(self, before: list[float], **policy: Any) -> None:
        super().__init__(IncidentPolicy(**policy))
        self.bad_release()
        self.healthy, self.crashing, self.ready = True, False, 3
        self.before = before
        self.asked: list[SeriesRequest] = []

    def activities(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            return Metrics(
                values={"error_rate": 0.44 if world.revision == 2 else 0.0, "p95_latency": 9.5, "saturation": 0.2}
            )

        @activity.defn(name="metrics.series")
        def series(request: SeriesRequest) -> Series:
            world.asked.append(request)
            return Series(points=[Point(at=request.start, value=value) for value in world.before])

        return instead(super().activities(), snapshot, series)


def texts(world: World) -> list[str]:
    return [post.text for post in world.done("slack.post")]


async def test_what_came_with_a_release_is_asked_about_and_the_way_back_is_recommended(
    working: Working, client: Client
) -> None:
    world = Failing([0.0, 0.001])
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        (question,) = (await waiting_for(handle, "decide mitigation-1")).questions
        assert question.recommended == "rollback"
        assert "error rate 44.00 %, above 5.00 %, and 0.10 % at most before it" in question.evidence
        assert not world.done("kubernetes.undo_rollout")
        decision = Decision(who="ada", role="commander", question=question.id, choice="rollback")
        await handle.execute_update("decide", decision)
        await waiting_for(handle, "close")
        await handle.execute_update("close", CLOSING)
        result = P1Result.model_validate(await handle.result())
    assert (result.mitigations, result.reasons) == (["rollback"], ["recent_release"])
    (asked,) = world.asked
    assert (asked.query, asked.end - asked.start) == ("errors", timedelta(minutes=10))


@pytest.mark.parametrize("before", [[0.0, 0.4], []], ids=["they were there before", "nobody knows"])
async def test_what_did_not_come_with_it_is_told_and_not_put_down_to_it(
    working: Working, client: Client, before: list[float]
) -> None:
    world = Failing(before)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        await waiting_for(handle, "close")
        await handle.execute_update("close", CLOSING)
        result = P1Result.model_validate(await handle.result())
    assert (result.mitigations, result.reasons) == ([], [])
    told = "nobody outside was told. Investigating. But its figures say otherwise: "
    told += "error rate 44.00 %, above 5.00 %; p95 9.50 s, above 2.00 s."
    assert any(told in text for text in texts(world)), texts(world)
    assert not world.done("statuspage.update")


async def test_nobodys_answer_takes_no_healthy_service_back(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Failing([0.0], safe_default="rollback")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        await waiting_for(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(minutes=11))
        await waiting_for(handle, "close")
        await handle.execute_update("close", CLOSING)
        result = P1Result.model_validate(await handle.result())
    assert (result.mitigations, world.done("kubernetes.undo_rollout")) == ([], [])
    assert any("But its figures say otherwise" in text for text in texts(world)), texts(world)
