"""What a security incident captures of pods that still run, and where it says that it did not."""

from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.security.blocked import NAME
from tests.workflows.security.reviews import report
from tests.workflows.steering import begin, told
from tests.workflows.worlds.breached import Breached
from workflows.security.security_incident import SecurityIncidentRequest

REQUEST = SecurityIncidentRequest(nodes=["node-a"])
NOT_KEPT = "processes, open connections and memory of the pods were not kept"


async def test_it_is_captured_of_isolated_pods_and_before_the_evidence_is_kept(
    working: Working, client: Client
) -> None:
    world = Breached(debug_image="busybox:1.37", checkpoint=True)
    world.not_captured = ["server-1 side: no debug container"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await handle.result()
        assert "Not captured: server-1 side: no debug container" in await told(handle)
    assert world.order[:3] == ["isolate", "capture", "keep"]
    (request,) = world.done("live_state.capture")
    assert [pod.name for pod in request.pods] == ["server-1"]
    content = report(world)
    assert content["captured"] == ["tensafe/server-1 app", "tensafe/server-1 app: node-a:/var/lib/kubelet/x.tar"]
    not_done = content["not done"]
    assert isinstance(not_done, list)
    assert "not captured: server-1 side: no debug container" in not_done
    assert NOT_KEPT not in not_done


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({}, NOT_KEPT),
        ({"debug_image": "busybox:1.37"}, "memory of the pods was not kept: settings ask for no checkpoint"),
        ({"checkpoint": True}, "processes and open connections were not kept: settings name no debug image"),
    ],
)
async def test_what_settings_do_not_allow_is_said(
    working: Working, client: Client, policy: dict[str, Any], says: str
) -> None:
    world = Breached(**policy)
    async with working(world.activities()) as queue:
        await (await begin(client, queue, REQUEST, NAME)).result()
    assert len(world.done("live_state.capture")) == bool(policy)
    assert says in str(report(world)["not done"])


async def test_a_capture_that_fails_loses_no_other_evidence(working: Working, client: Client) -> None:
    world = Breached(debug_image="busybox:1.37")
    world.down = {"live_state"}
    async with working(world.activities()) as queue:
        await (await begin(client, queue, REQUEST, NAME)).result()
    assert len(world.done("forensics.keep")) == 1
    assert NOT_KEPT in str(report(world)["not done"])
