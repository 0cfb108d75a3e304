import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import structlog
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse
from temporalio.testing import ActivityEnvironment

from activities.common.errors import InvalidInput, Misconfigured, RateLimited, Refused, Unavailable
from activities.messages.chat.chat import Chat, PostMessage, ScheduleMessage, Slack
from activities.messages.chat.pictures import Picture, Value
from activities.messages.chat.records import RecordsChat
from activities.messages.chat.slack import SlackChat
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.contracts.slack import SlackContract
from tests.records_schema.fixtures import count, effect

TOKEN = "xoxb-not-a-real-token-4711"


def post(
    step: str = "post", channel: str = "#incidents", text: str = "P1: API down <now> & here", **changed: Any
) -> PostMessage:
    plan = changed.pop("dry_run", False)
    return PostMessage(channel=channel, text=text, effect=effect(step, dry_run=plan), **changed)


def schedule(
    step: str = "schedule", ahead: timedelta = timedelta(hours=20), *, dry_run: bool = False
) -> ScheduleMessage:
    return ScheduleMessage(
        channel="#incidents",
        text="Post-mortem of <INC-1>",
        post_at=datetime.now(UTC) + ahead,
        effect=effect(step, dry_run=dry_run),
    )


NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
PICTURE = Picture(
    title="failed requests",
    unit="%",
    begin=NOON,
    end=NOON + timedelta(hours=1),
    longest_gap=60,
    values=[Value(at=NOON + timedelta(minutes=n), value=n) for n in range(60)],
    limit=5,
)


# -- records --------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(records_pool: ConnectionPool[Any]) -> RecordsChat:
    return RecordsChat(records_pool)


def test_messages_are_kept_once(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    first, second = own.post(post()), own.post(post())
    assert (first.applied, second.applied) == (True, False)
    assert first.message_id == second.message_id != ""
    reply = own.post(post("reply", thread=first.message_id))
    later = own.schedule(schedule())
    assert later.applied
    rows = records_sql.execute("SELECT id::text, thread::text, post_at IS NOT NULL FROM runbooks.messages ORDER BY id")
    assert rows.fetchall() == [
        (first.message_id, None, False),
        (reply.message_id, first.message_id, False),
        (later.message_id, None, True),
    ]
    assert count(records_sql, "audit_log") == 3


def test_a_planned_message_leaves_nothing(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    plan = own.post(post(dry_run=True))
    assert (plan.applied, plan.message_id) == (False, "")
    reply = own.post(post("reply", thread=plan.message_id, dry_run=True))
    assert not reply.applied
    assert count(records_sql, "messages") == count(records_sql, "audit_log") == 0


def test_a_thread_of_another_backend_is_refused(own: RecordsChat) -> None:
    with pytest.raises(InvalidInput, match="thread"):
        own.post(post(thread="1700000000.000100"))
    with pytest.raises(Refused):
        own.post(post(thread="4711"))


def test_a_picture_is_kept_beside_the_message(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    own.post(post(picture=PICTURE))
    row = records_sql.execute("SELECT picture FROM runbooks.messages").fetchone()
    assert row is not None
    assert bytes(row[0]).startswith(b"\x89PNG")


# -- Slack ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> SlackContract:
    return SlackContract(TOKEN)


@pytest.fixture
def channel(service: SlackContract) -> str:
    return service.add_channel("incidents", member=True)


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def base_url(service: SlackContract, faults: Misbehaviour) -> Iterator[str]:
    with serving(service.app, faults) as url:
        yield f"{url}/api/"


@pytest.fixture
def chat(base_url: str) -> SlackChat:
    return SlackChat(SecretStr(TOKEN), base_url)


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


def test_reads_are_retried_by_the_sdk(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str
) -> None:
    faults.lose_answer("conversations.list")
    faults.answer_instead("conversations.history", PlainTextResponse("oops", 503))
    assert chat.post(post()).applied
    assert service.calls.count("conversations.list") == 2


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


def test_a_channel_is_joined(chat: SlackChat, service: SlackContract) -> None:
    channel = service.add_channel("incidents")
    assert chat.post(post()).channel == channel
    assert service.calls.count("conversations.join") == 1
    chat.post(post("two"))
    assert service.calls.count("conversations.list") == 1, "its ID is remembered"


def test_a_missing_channel_is_created_once(service: SlackContract, base_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        posted = list(
            threads.map(lambda n: SlackChat(SecretStr(TOKEN), base_url).post(post(f"post-{n}", "#inc-1")), range(6))
        )
    assert len({message.channel for message in posted}) == 1
    assert len(service.channels) == 1


def test_a_lost_answer_to_creating_the_channel_is_harmless(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour
) -> None:
    faults.lose_answer("conversations.create")
    assert chat.post(post()).applied
    assert len(service.channels) == 1


def test_an_id_needs_no_look_up(chat: SlackChat, service: SlackContract) -> None:
    channel = service.add_channel("incidents")
    assert chat.post(post(channel=channel)).channel == channel
    assert "conversations.list" not in service.calls
    before = len(service.calls)
    chat.post(post("two", channel=channel))
    assert service.calls[before:] == ["conversations.history", "chat.postMessage"]


def test_being_removed_from_the_channel_is_mended(chat: SlackChat, service: SlackContract, channel: str) -> None:
    chat.post(post("one"))
    service.channels[channel]["is_member"] = False
    with pytest.raises(Unavailable, match="not_in_channel"):
        chat.post(post("two"))
    assert chat.post(post("two")).applied


def test_a_deleted_channel_is_looked_up_afresh(chat: SlackChat, service: SlackContract, channel: str) -> None:
    chat.post(post("one"))
    del service.channels[channel]
    with pytest.raises(Exception, match="channel_not_found"):
        chat.post(post("two"))
    assert chat.post(post("two")).channel != channel


def test_an_archived_or_hidden_channel_says_so(chat: SlackChat, service: SlackContract) -> None:
    service.add_channel("incidents", private=True)
    with pytest.raises(Refused, match="#incidents is archived, or private and without the app"):
        chat.post(post())


def test_a_short_wait_is_waited_here(chat: SlackChat, faults: Misbehaviour, channel: str) -> None:
    slow = JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "1"})
    faults.answer_instead("chat.postMessage", slow)
    assert chat.post(post()).applied


def test_a_long_wait_is_handed_to_temporal(chat: SlackChat, faults: Misbehaviour, channel: str) -> None:
    slow = JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "30"})
    faults.answer_instead("conversations.history", slow)
    with pytest.raises(RateLimited) as caught:
        chat.post(post())
    assert caught.value.next_retry_delay == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("code", "raises"),
    [
        ("rate_limited", RateLimited),
        ("team_added_to_org", Unavailable),
        ("external_channel_migrating", Unavailable),
        ("org_login_required", Misconfigured),
        ("ekm_access_denied", Misconfigured),
        ("restricted_action", Refused),
    ],
)
def test_what_slack_says_with_http_200(
    chat: SlackChat, faults: Misbehaviour, channel: str, code: str, raises: type[Exception]
) -> None:
    faults.answer_instead("chat.postMessage", JSONResponse({"ok": False, "error": code}))
    with pytest.raises(raises) as found:
        chat.post(post())
    assert type(found.value) is raises


def test_slack_being_away_is_a_passing_fault(faults: Misbehaviour, chat: SlackChat, channel: str) -> None:
    with pytest.raises(Unavailable):
        SlackChat(SecretStr(TOKEN), "http://127.0.0.1:1/api/").post(post())
    faults.answer_instead("chat.postMessage", JSONResponse({"ok": False, "error": "internal_error"}))
    with pytest.raises(Unavailable, match="internal_error"):
        chat.post(post())


def test_a_refusal_is_final(chat: SlackChat, channel: str) -> None:
    with pytest.raises(Refused, match=r"chat\.postMessage: msg_too_long"):
        chat.post(post(text="x" * 40_001))


def test_a_missing_scope_is_named(chat: SlackChat, service: SlackContract, channel: str) -> None:
    service.scopes.remove("chat:write")
    with pytest.raises(Misconfigured, match=r"lacks the scope chat:write for chat\.postMessage"):
        chat.post(post())


def test_the_token_is_never_shown(base_url: str, faults: Misbehaviour, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "xoxb-wrong-token-4711"
    chat = SlackChat(SecretStr(wrong), base_url)
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(Misconfigured, match="invalid_auth") as rejected:
            chat.post(post())
        faults.answer_instead("conversations.list", JSONResponse({"ok": False, "error": f"odd {wrong}"}))
        with pytest.raises(Refused, match="no readable error code") as odd:
            chat.post(post())
    for error in (rejected, odd):
        assert wrong not in repr(error.value) + repr(error.value.__cause__) + json.dumps(logs)
    assert wrong not in "".join(record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG)


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
