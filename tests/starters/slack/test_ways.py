"""From a modal to the end of the run, over both ways in: started, decided by a button, closed, shown in the thread."""

import asyncio
import json
from uuid import uuid4

import pytest

from starters.slack.presses import Press
from starters.steering import runs
from starters.steering.words import send
from tests.starters.slack.conftest import Office
from workflows.platform.approval import Answer, Decision

pytestmark = pytest.mark.servers
both = pytest.mark.parametrize("way", ["socket", "http"])


async def started(office: Office) -> None:
    office.world.bad_release()
    assert await office.slack.command("start p1-incident") == {}
    view = await office.slack.view()
    answer = await office.slack.submit(view, title="API down <!channel>", service=office.service, mitigation="approve")
    assert answer["view"]["title"]["text"] == "Started", answer


@both
async def test_an_incident_is_started_decided_and_closed_from_slack(posting_office: Office, way: str) -> None:
    office = posting_office
    async with office.working(), office.listening(way) as session:
        await started(office)
        asked = await office.slack.head(office.channel, "mitigation-1", "rollback", "API down <!channel>")
        await office.slack.press(asked["blocks"], "rollback")
        answered = await office.slack.head(office.channel, "mitigation-1: rollback", "ada@example.org (commander)")
        labels = json.dumps(answered["blocks"])
        assert '"decide"' not in labels
        waiting = await office.slack.head(office.channel, '"Close"')
        await office.slack.press(waiting["blocks"], "Close")
        view = await office.slack.view()
        assert await office.slack.submit(view, resolution="Rolled back", root_cause="v1.2.4 crashes") == {}
        over = await office.slack.head(office.channel, "*Ended*", "closed by ada@example.org")
        assert '"button"' not in json.dumps(over["blocks"])

        messages = office.slack.contract.channels[office.channel]["messages"]
        tops = [one["ts"] for one in messages if one.get("thread_ts", one["ts"]) == one["ts"]]
        assert tops == [over["ts"]], "all of it stands in one thread, also what was said before that was known"
        assert len(messages) <= 12
        assert over["updates"] >= 3
        run = await session.client.get_workflow_handle(f"p1-incident/{office.service}").fetch_history()
        updates = [
            e.workflow_execution_update_accepted_event_attributes
            for e in run.events
            if e.HasField("workflow_execution_update_accepted_event_attributes")
        ]
        assert [one.accepted_request.input.name for one in updates] == ["decide", "close"]
        assert office.world.images[office.world.revision].endswith("v1.2.3")
        assert office.slack.contract.refused == []


@both
async def test_one_press_that_comes_twice_is_one_word(office: Office, way: str) -> None:
    async with office.working(), office.listening(way) as session:
        await started(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        press = office.slack.presses(asked["blocks"], "rollback")
        await asyncio.gather(*(office.slack.deliver("interactive", press) for _ in range(3)))
        await office.slack.head(office.channel, "mitigation-1: rollback")
        await office.slack.deliver("interactive", press)
        history = await session.client.get_workflow_handle(f"p1-incident/{office.service}").fetch_history()
        taken = [one for one in history.events if one.HasField("workflow_execution_update_accepted_event_attributes")]
        assert len(taken) == 1
        assert "is decided: rollback" in await office.slack.whisper("is decided")


async def test_a_modal_that_is_sent_twice_starts_one_run(office: Office) -> None:
    async with office.working(), office.listening("http") as session:
        await office.slack.command("start manual-scale-up")
        sent = office.slack.submission(await office.slack.view(), service=office.service, target="4")
        first = await office.slack.deliver("interactive", sent)
        handle = session.client.get_workflow_handle(await office.run_of(session, "manual-scale-up"))
        await handle.result()
        again = await office.slack.deliver("interactive", sent)
        assert first == again
        query = f'RunbookService = "{office.service}"'
        assert len([one async for one in session.client.list_workflows(query)]) == 1


async def test_what_is_wrong_in_a_modal_stands_at_its_input(office: Office) -> None:
    async with office.listening("http"):
        await office.slack.command("start emergency-scale-up")
        answer = await office.slack.submit(
            await office.slack.view(), service=office.service, factor="many", lease="soon"
        )
        assert answer["response_action"] == "errors"
        assert {*answer["errors"]} == {"factor", "lease"}


async def test_a_question_that_is_answered_elsewhere_loses_its_buttons_and_says_who(office: Office) -> None:
    async with office.working(), office.listening("socket") as session:
        await started(office)
        asked = await office.slack.head(office.channel, "mitigation-1", '"rollback"')
        status = await session.client.get_workflow_handle(f"p1-incident/{office.service}").query("status")

        run = await runs.describe(session, f"p1-incident/{office.service}", None)
        assert run is not None
        question = status["questions"][0]
        word = Decision(
            who="carol", role="on-call", question=question["id"], choice="none", subject=question["subject"]
        )
        await send(session, run, word, Answer)
        answered = await office.slack.head(office.channel, "mitigation-1: none", "carol (on-call)")
        values = [
            json.loads(one["value"])
            for block in answered["blocks"]
            for one in block.get("elements", [])
            if one.get("type") == "button"
        ]
        assert question["id"] not in [Press.model_validate(one).fields.get("question") for one in values]
        await office.slack.press(asked["blocks"], "rollback")
        assert "carol (on-call)" in await office.slack.whisper("is decided")


async def test_who_may_not_is_told_whose_it_is_and_strangers_are_not_heard(office: Office) -> None:
    async with office.working(), office.listening("socket") as session:
        await started(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        await office.slack.press(asked["blocks"], "rollback", user="UEVE")
        assert "Roles that may: commander" in await office.slack.whisper("eve@example.org (csm) may not decide")
        await office.slack.press(asked["blocks"], "rollback", user="UNOBODY")
        await office.slack.whisper("nobody knows UNOBODY")
        other = office.slack.presses(asked["blocks"], "rollback", team="T2")
        await office.slack.deliver("interactive", other)
        await office.slack.whisper("own workspace")
        status = await session.client.get_workflow_handle(f"p1-incident/{office.service}").query("status")
        assert [one["id"] for one in status["questions"]] == ["mitigation-1"]


async def test_the_list_and_the_status_have_the_buttons_and_taking_over_works(office: Office) -> None:
    async with office.working(), office.listening("socket"):
        await started(office)
        await office.slack.head(office.channel, "mitigation-1")
        listed = await office.slack.command("list")
        assert office.service in json.dumps(listed["blocks"])
        status = await office.slack.command(f"status p1-incident/{office.service}")
        assert "mitigation-1" in json.dumps(status["blocks"])
        told = await office.slack.command(f"take-over p1-incident/{office.service} by hand")
        assert "is yours" in json.dumps(told)
        held = await office.slack.head(office.channel, "ada@example.org (commander) has it", "Hand back")
        await office.slack.press(held["blocks"], "Hand back")
        await office.slack.head(office.channel, "Given back", "Take over")
        help_ = await office.slack.command("what?")
        assert "/runbook start PROCEDURE" in help_["text"]


async def test_a_note_is_kept_with_who_wrote_it(office: Office) -> None:
    async with office.working(), office.listening("socket") as session:
        await started(office)
        shown = await office.slack.head(office.channel, "mitigation-1", '"Note"')
        await office.slack.press(shown["blocks"], "Note", user="UEVE")
        assert await office.slack.submit(await office.slack.view(), user="UEVE", text="DNS was fine <!here>") == {}
        await office.slack.whisper("noted on")
        status = await session.client.get_workflow_handle(f"p1-incident/{office.service}").query("status")
        noted = [one for one in status["entries"] if one["kind"] == "note"]
        assert [(one["text"], one["who"]) for one in noted] == [("DNS was fine <!here>", "eve@example.org (csm)")]


async def test_slack_asks_to_slow_down_and_is_left_alone(office: Office) -> None:
    contract = office.slack.contract
    async with office.working(), office.listening("socket"):
        for method in ("chat.postMessage", "chat.update"):
            contract.limit(method, 6)
        await started(office)
        shown = await office.slack.head(office.channel, "mitigation-1")
        assert contract.too_soon == []
        assert "chat.postMessage" in contract.calls
        assert len([one for one in contract.channels[office.channel]["messages"] if one["ts"] == shown["ts"]]) == 1


async def test_runs_that_nobody_answers_for_hold_up_no_other(office: Office) -> None:
    """To ask all of these, ten at once, takes longer than this test waits."""
    async with office.working(), office.listening("socket") as session:
        ids = [f"p1-incident/{uuid4()}" for _ in range(200)]
        handles = await asyncio.gather(
            *(session.client.start_workflow("P1Incident", {}, id=one, task_queue=f"{office.queue}-none") for one in ids)
        )
        try:
            while len([one async for one in session.client.list_workflows(f'TaskQueue = "{office.queue}-none"')]) < 200:
                await asyncio.sleep(0.5)
            await started(office)
            shown = await office.slack.head(office.channel, "mitigation-1", "rollback")
            await office.slack.press(shown["blocks"], "rollback")
            await office.slack.head(office.channel, "mitigation-1: rollback")
        finally:
            await asyncio.gather(*(one.terminate("the test is over") for one in handles))
