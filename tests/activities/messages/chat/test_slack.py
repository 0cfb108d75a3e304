"""Slack: a message is posted once, in its thread, with its picture, whatever answer is lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Refused, Unavailable
from activities.messages.chat.chat import Chat, Slack
from activities.messages.chat.records import RecordsChat
from activities.messages.chat.slack import SlackChat
from tests.activities.contracts.serving import Misbehaviour
from tests.activities.contracts.slack import SlackContract
from tests.activities.messages.chat.posting import PICTURE, TOKEN, post, schedule
from tests.records_schema.fixtures import effect


def test_a_message_is_posted_with_its_key(chat: SlackChat, service: SlackContract, channel: str) -> None:
    message = chat.post(post())
    assert message.applied
    assert message.channel == channel
    kept = service.channels[channel]["messages"]
    assert [m["ts"] for m in kept] == [message.message_id]
    assert kept[0]["metadata"] == {
        "event_type": "runbook_effect",
        "event_payload": {"key": "wf-1/run-1/post", "workflow_id": "wf-1"},
    }


def test_the_same_effect_is_posted_once_also_by_a_new_worker(
    chat: SlackChat, service: SlackContract, channel: str, base_url: str
) -> None:
    first = chat.post(post())
    other = chat.post(post("other"))
    for again in (chat.post(post()), SlackChat(SecretStr(TOKEN), base_url).post(post())):
        assert (again.applied, again.message_id, again.detail) == (False, first.message_id, "posted already")
    assert other.message_id != first.message_id
    assert len(service.texts(channel)) == 2


def test_a_picture_comes_with_its_message_once(chat: SlackChat, service: SlackContract, channel: str) -> None:
    first = chat.post(post(picture=PICTURE))
    again = chat.post(post(picture=PICTURE))
    (kept,) = service.channels[channel]["messages"]
    assert (first.applied, again.applied, first.message_id, again.message_id) == (True, False, kept["ts"], kept["ts"])
    assert kept["text"].startswith("P1: API down")
    (file,) = service.files.values()
    assert file["content"].startswith(b"\x89PNG")
    assert kept["files"][0]["title"] == "failed requests"


def test_a_lost_answer_to_a_picture_makes_no_second_message(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str
) -> None:
    faults.lose_answer("files.completeUploadExternal")
    with pytest.raises(Unavailable):
        chat.post(post(picture=PICTURE))
    second = ActivityEnvironment()
    second.info = replace(second.info, attempt=2)
    assert not second.run(Slack(chat).post, post(picture=PICTURE)).applied
    assert len(service.texts(channel)) == 1


@pytest.mark.parametrize("why", ["no scope", "no luck"])
def test_a_picture_that_slack_does_not_take_is_left_out(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str, why: str
) -> None:
    if why == "no scope":
        service.scopes.discard("files:write")
        message = chat.post(post(picture=PICTURE))
    else:
        last = ActivityEnvironment()
        last.info = replace(last.info, attempt=3)
        message = last.run(Slack(chat).post, post(picture=PICTURE))
    (kept,) = service.channels[channel]["messages"]
    assert (message.message_id, "files" in kept, kept["metadata"]["event_type"]) == (
        kept["ts"],
        False,
        "runbook_effect",
    )


@pytest.mark.parametrize("threaded", [False, True])
def test_a_lost_answer_makes_no_second_message(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str, *, threaded: bool
) -> None:
    thread = chat.post(post("first")).message_id if threaded else None
    before = len(service.texts(channel))
    faults.lose_answer("chat.postMessage")
    with pytest.raises(Unavailable, match="Slack did not answer"):
        chat.post(post(thread=thread))
    assert len(service.texts(channel)) == before + 1, "the SDK itself must not have posted again"
    again = chat.post(post(thread=thread))
    assert not again.applied
    assert len(service.texts(channel)) == before + 1


def test_a_server_error_on_a_post_is_not_retried_blindly(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str
) -> None:
    faults.answer_instead("chat.postMessage", PlainTextResponse("oops", 503))
    with pytest.raises(Unavailable):
        chat.post(post())
    assert service.calls.count("chat.postMessage") == 0
    assert chat.post(post()).applied


def test_messages_of_threads_are_found_in_their_thread(chat: SlackChat, service: SlackContract, channel: str) -> None:
    root = chat.post(post("root"))
    reply = chat.post(post("reply", thread=root.message_id))
    assert chat.post(post("reply", thread=root.message_id)).message_id == reply.message_id
    assert service.channels[channel]["messages"][1]["thread_ts"] == root.message_id


OPENING = effect("root").key


def test_what_is_said_while_the_thread_is_being_opened_stands_in_it(
    chat: SlackChat, service: SlackContract, channel: str
) -> None:
    with ThreadPoolExecutor(1) as beside:
        early = beside.submit(chat.post, post("reply", opened_by=OPENING))
        while service.calls.count("conversations.history") < 2:  # it has looked, and there was nothing
            time.sleep(0.01)
        root = chat.post(post("root"))
        assert early.result().applied
    messages = {one["ts"]: one.get("thread_ts") for one in service.channels[channel]["messages"]}
    assert messages == {root.message_id: None, early.result().message_id: root.message_id}
    assert not chat.post(post("reply", opened_by=OPENING)).applied
    assert not chat.post(post("reply", thread=root.message_id)).applied


def test_what_stands_beside_a_thread_that_did_not_come_is_not_said_again_in_it(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.messages.chat.chat._LOOKS", (0.0,))
    before = len(service.texts(channel))
    faults.lose_answer("chat.postMessage")
    with pytest.raises(Unavailable):
        chat.post(post("reply", opened_by=OPENING))
    chat.post(post("root"))
    assert not chat.post(post("reply", opened_by=OPENING)).applied
    assert len(service.texts(channel)) == before + 2


def test_what_is_kept_while_the_thread_is_being_opened_stands_in_it(
    own: RecordsChat, records_sql: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(1) as beside:
        early = beside.submit(own.post, post("reply", opened_by=OPENING))
        root = own.post(post("root"))
        assert early.result().applied
    monkeypatch.setattr("activities.messages.chat.chat._LOOKS", (0.0,))
    alone = own.post(post("alone", opened_by="never posted"))
    rows = records_sql.execute("SELECT id::text, thread::text FROM runbooks.messages").fetchall()
    assert dict(rows) == {root.message_id: None, early.result().message_id: root.message_id, alone.message_id: None}


def test_a_message_is_found_behind_many(chat: SlackChat, service: SlackContract, channel: str) -> None:
    service.page_size = 7
    first = chat.post(post())
    for number in range(30):
        chat.post(post(f"other-{number}"))
    assert chat.post(post()).message_id == first.message_id


def test_a_plan_only_looks(chat: SlackChat, service: SlackContract) -> None:
    plan = chat.post(post(dry_run=True))
    assert (plan.applied, plan.message_id, plan.channel) == (False, "", "#incidents")
    assert str(plan) == "#incidents, would be posted, and the channel created"
    channel = service.add_channel("incidents")
    assert chat.schedule(schedule(dry_run=True)).channel == channel
    assert set(service.calls) == {"auth.test", "conversations.list"}
    assert service.texts(channel) == []
    assert service.scheduled == []


def test_a_message_is_scheduled_once(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str, base_url: str
) -> None:
    request = schedule()
    faults.lose_answer("chat.scheduleMessage")
    with pytest.raises(Unavailable):
        chat.schedule(request)
    again = chat.schedule(request)
    assert not again.applied
    assert [item["id"] for item in service.scheduled] == [again.message_id]
    assert chat.schedule(schedule("other")).applied
    assert len(service.scheduled) == 2


def test_a_scheduled_message_that_is_out_is_not_repeated(chat: SlackChat, service: SlackContract, channel: str) -> None:
    request = schedule(ahead=timedelta(minutes=5))
    assert chat.schedule(request).applied
    service.deliver_scheduled()
    late = request.model_copy(update={"post_at": datetime.now(UTC) - timedelta(minutes=1)})
    again = chat.schedule(late)
    assert (again.applied, again.detail) == (False, "posted already")
    assert len(service.texts(channel)) == 1


def test_what_is_late_is_posted_at_once_and_once(chat: SlackChat, service: SlackContract, channel: str) -> None:
    late = schedule(ahead=timedelta(hours=-1))
    assert chat.schedule(late).applied
    assert not chat.schedule(late).applied
    assert len(service.texts(channel)) == 1


def test_too_far_ahead_is_refused(chat: SlackChat, channel: str) -> None:
    with pytest.raises(Refused, match="time_too_far"):
        chat.schedule(schedule(ahead=timedelta(days=200)))


def test_both_backends_are_chats(chat: SlackChat, own: RecordsChat, channel: str) -> None:
    backends: list[Chat] = [chat, own]
    for backend in backends:
        assert ActivityEnvironment().run(Slack(backend).post, post()).applied
        assert ActivityEnvironment().run(Slack(backend).schedule, schedule()).applied
