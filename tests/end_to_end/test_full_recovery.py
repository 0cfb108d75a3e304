"""A full recovery on the whole stack: traffic taken away and brought back in steps, a watch that a person ends."""

import asyncio

import pytest

from activities.kubernetes.traffic import WEIGHT
from tests.end_to_end.conftest import DEPLOYMENT, Stack, eventually
from tests.end_to_end.scaled import runbooks
from tests.workflows.steering import begin, result_of, told, waiting_for
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.run_status import RunStatus

pytestmark = pytest.mark.timeout(600)

_INGRESS = "/apis/networking.k8s.io/v1/namespaces/tensafe/ingresses/tensafe-server"


async def test_a_service_is_brought_back_in_steps_and_watched_until_a_person_has_seen_enough(stack: Stack) -> None:
    before = stack.read(DEPLOYMENT)["metadata"]["generation"]
    await eventually(stack.backed_up)
    request = FullServiceRecoveryRequest(take_traffic_away="always")
    handle = await begin(stack.client, "runbooks", request, "full_service_recovery")
    # The sandbox's service has a database, which is well: a restore is not recommended, but asked for.
    (asked,) = (await waiting_for(handle, "decide restore")).questions
    assert asked.recommended == "no-restore"
    answer = await asyncio.to_thread(runbooks, stack, "approve", handle.id, "--choice", "no-restore")
    assert answer.returncode == 0, answer.stdout + answer.stderr

    async def watched() -> RunStatus | None:
        status: RunStatus = await handle.query("status", result_type=RunStatus)
        return status if status.phase.startswith("Watch") else None

    status: RunStatus = await eventually(watched)
    assert stack.read(_INGRESS)["metadata"]["annotations"][WEIGHT] == "100"
    assert stack.read(DEPLOYMENT)["metadata"]["generation"] == before + 1
    text = "\n".join(entry.text for entry in status.entries)
    for share in (0, 10, 25, 50, 100):
        assert f"{share} % of the traffic: ingress/tensafe-server" in text
    ended = await asyncio.to_thread(runbooks, stack, "stop-watching", handle.id, "--reason", "enough")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = await result_of(handle)
    assert (result["outcome"], result["traffic"]) == ("recovered", 100), await told(handle)
    incident = "SELECT status FROM runbooks.incidents WHERE incident_id = %s"
    assert stack.rows(incident, result["incident_id"]) == [("closed",)]
    updates = "SELECT status FROM runbooks.status_updates WHERE incident_id = %s ORDER BY id"
    assert [row[0] for row in stack.rows(updates, result["incident_id"])] == [
        "Investigating",
        "Identified",
        "Monitoring",
        "Resolved",
    ]
