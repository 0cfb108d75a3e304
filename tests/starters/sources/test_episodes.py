"""One firing, one run, whoever sends it: repetitions, concurrent posts, ends, what is sent again after all is over."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle

from starters.sources.pagerduty import PagerDuty
from starters.sources.sentry import Sentry
from tests.plugins.patience import HANGS
from tests.starters.sources import senders
from tests.starters.sources.senders import BEGAN, SENDERS, Message, Sender
from tests.starters.sources.serving import outcomes, post, serving
from tests.starters.support import HEADERS, RUN, SERVICE, alert, body, open_now, waiting_for, working
from tests.workflows.worlds.world import World
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident

NEXT_DAY = BEGAN + timedelta(days=1)
each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives up soon waits here, however busy this machine is; `test_answers` has who is answered in time."""
    for kind in (Sentry, PagerDuty):
        monkeypatch.setattr(kind, "manners", replace(kind.manners, within=None))


async def closed(client: Client) -> None:
    handle = client.get_workflow_handle(RUN)
    await waiting_for(client, handle.id, "close")
    closing = Closing(who="ada", role="commander", resolution="restarted", root_cause="unknown")
    await handle.execute_update(P1Incident.close, closing)
    await handle.result()


@each
async def test_a_firing_is_handled_once_and_the_next_one_anew(
    temporal_address: str, tmp_path: Path, sender: Sender
) -> None:
    world, queue = World(), f"q-{uuid4()}"
    # What Sentry calls a firing is its incident: the next is another.
    name = uuid4().hex
    anew = sender.fires(uuid4().hex if sender.name == "sentry" else name, NEXT_DAY)
    async with (
        working(temporal_address, queue, world) as connected,
        serving(temporal_address, queue, tmp_path) as http,
    ):
        taken = await asyncio.gather(*(outcomes(http, sender.name, sender.fires(name)) for _ in range(5)))
        assert sorted(one for outcome in taken for one in outcome) == ["joined"] * 4 + ["started"]
        assert set(await outcomes(http, sender.name, sender.ends(name))) <= {"resolved", "unrouted"}
        await closed(connected)
        assert await outcomes(http, sender.name, sender.fires(name)) == ["already_handled"]
        assert await outcomes(http, sender.name, anew) == ["started"]
        await closed(connected)
    assert len(world.done("records.create_incident")) == 2
    assert len(world.done("records.acknowledge_alert")) == 2
    (resolved,) = world.done("records.resolve_alert")
    # As the records know it: by when it began, which the end of some doesn't tell.
    assert (resolved.source, resolved.starts_at, resolved.resolved_at) == (
        sender.name,
        BEGAN,
        resolved.resolved_at if sender.name == "sentry" else BEGAN + timedelta(minutes=9),
    )


async def test_what_datadog_says_again_of_a_cycle_that_was_dealt_with_begins_nothing(
    temporal_address: str, tmp_path: Path
) -> None:
    world, queue, datadog = World(), f"q-{uuid4()}", senders.BY_NAME["datadog"]
    name = uuid4().hex
    again = datadog.fires(name, transition="Renotify", occurred=NEXT_DAY)
    async with (
        working(temporal_address, queue, world) as connected,
        serving(temporal_address, queue, tmp_path) as http,
    ):
        # Its first post was lost.
        assert await outcomes(http, "datadog", again) == ["started"]
        assert await outcomes(http, "datadog", datadog.fires(name, transition="Re-Triggered")) == ["joined"]
        await closed(connected)
        assert await outcomes(http, "datadog", again) == ["already_handled"]
    assert len(world.done("records.acknowledge_alert")) == 1


async def test_our_own_page_and_what_people_do_at_pagerduty_begin_nothing(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    sender = senders.BY_NAME["pagerduty"]
    async with serving(temporal_address, f"q-{uuid4()}", tmp_path) as http:
        for payload in sender.ignored:
            assert (await post(http, "pagerduty", sender.sign(payload, sender.secret))).status_code == 200
        assert await open_now(client) is None


async def test_an_alarm_that_comes_after_its_end_begins_nothing(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    """SNS keeps no order."""
    sender, name = senders.BY_NAME["sns"], uuid4().hex
    async with serving(temporal_address, f"q-{uuid4()}", tmp_path) as http:
        assert await outcomes(http, "sns", sender.ends(name)) == ["resolved"]
        assert await outcomes(http, "sns", sender.fires(name)) == ["already_handled"]
        assert await open_now(client) is None
        assert await outcomes(http, "sns", sender.fires(name, NEXT_DAY)) == ["started"]


@pytest.mark.parametrize("procedure", ["p1-incident", "p2-incident"])
@pytest.mark.parametrize("name", ["sns", "pagerduty"])
async def test_an_end_that_comes_before_its_firing_ends_it_whichever_webhook_is_told(
    temporal_address: str, tmp_path: Path, name: str, procedure: str
) -> None:
    """Nothing orders the posts of a sender, and of several webhooks each may have one."""
    world, queue, sender = World(), f"q-{uuid4()}", senders.BY_NAME[name]
    other, late = uuid4().hex, uuid4().hex
    rules = senders.RULES.replace("p1-incident", procedure).replace('severity = "P1"\n\n', "\n")
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    async with (
        working(temporal_address, queue, world) as connected,
        serving(temporal_address, queue, one, rules=rules) as first,
        serving(temporal_address, queue, two, rules=rules) as second,
    ):
        assert await outcomes(first, name, sender.fires(other)) == ["started"]
        assert await outcomes(first, name, sender.ends(late)) == ["resolved"]
        assert await outcomes(second, name, sender.fires(late)) == ["joined"]
        assert await outcomes(second, name, sender.fires(late)) == ["joined"]
        handle = connected.get_workflow_handle(f"{procedure}/{SERVICE}")
        said = await _said(handle, "over already")
        assert len([text for text in said if "over already" in text]) == 1
        # The next one is another firing, and joins.
        assert await outcomes(second, name, sender.fires(late, NEXT_DAY)) == ["joined"]
        await _said(handle, "joins this incident")
        await handle.terminate("the test has seen enough")
    acknowledged = [request.alert for request in world.done("records.acknowledge_alert")]
    begun = {alert.fingerprint for alert in acknowledged if alert.starts_at == BEGAN}
    assert begun == {acknowledged[0].fingerprint}, "what was over already is recorded as no alert of the incident"


async def _said(handle: WorkflowHandle[Any, Any], part: str) -> list[str]:
    """Wait until a run has said something; gives all that it has said."""
    async with asyncio.timeout(HANGS):
        while True:
            said = [entry["text"] for entry in (await handle.query("status"))["entries"]]
            if any(part in text for text in said):
                return said
            await asyncio.sleep(0.05)


async def test_one_outage_that_all_senders_tell_at_once_is_one_incident_until_the_last_says_it_is_over(
    temporal_address: str, tmp_path: Path
) -> None:
    world, queue, name = World(), f"q-{uuid4()}", uuid4().hex
    fires = {sender.name: sender.fires(name) for sender in SENDERS}
    ends = {sender.name: sender.ends(name) for sender in SENDERS}
    fires["alertmanager"] = Message(HEADERS | senders.JSON, json.dumps(body(alert(name[:16]))).encode())
    over = alert(name[:16], status="resolved") | {"endsAt": "2026-02-04T03:09:00Z"}
    ends["alertmanager"] = Message(HEADERS | senders.JSON, json.dumps(body(over)).encode())
    async with (
        working(temporal_address, queue, world) as connected,
        serving(temporal_address, queue, tmp_path) as http,
    ):
        told = await asyncio.gather(*(outcomes(http, source, message) for source, message in fires.items()))
        assert sorted(one for outcome in told for one in outcome) == ["joined"] * (len(fires) - 1) + ["started"]
        handle = connected.get_workflow_handle(RUN)
        left = len(ends)
        for source, message in ends.items():
            assert "resolved" in await outcomes(http, source, message)
            left -= 1
            said = await _said(handle, f"says {source}")
            (end,) = [text for text in said if f"says {source}" in text]
            assert ("still firing" in end) == (left > 0), end
        await closed(connected)
    assert len(world.done("records.create_incident")) == 1
    assert {request.alert.source for request in world.done("records.acknowledge_alert")} == {*fires}
    assert {request.source for request in world.done("records.resolve_alert")} == {*ends}


async def test_two_sources_that_call_an_alert_alike_have_an_alert_each(temporal_address: str, tmp_path: Path) -> None:
    known = senders.settings_of("grafana")["grafana"]
    sender, name = senders.BY_NAME["grafana"], uuid4().hex
    sources = {"grafana": known, "grafana-of-others": known}
    rules = senders.RULES.partition("[mapping")[0]
    async with serving(temporal_address, f"q-{uuid4()}", tmp_path, rules=rules, sources=sources) as http:
        assert await outcomes(http, "grafana", sender.fires(name)) == ["started"]
        assert await outcomes(http, "grafana-of-others", sender.fires(name)) == ["joined"]
        told = (await post(http, "grafana-of-others", sender.ends(name))).json()["alerts"]
        assert [one["outcome"] for one in told] == ["resolved"]
