"""What Slack answers: a passing fault, a refusal, or how long to wait; and never the token."""

import json
import logging
from datetime import timedelta

import pytest
import structlog
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse

from activities.common.errors import Misconfigured, RateLimited, Refused, Unavailable
from activities.messages.chat.slack import SlackChat
from tests.activities.contracts.serving import Misbehaviour
from tests.activities.contracts.slack import SlackContract
from tests.activities.messages.chat.posting import TOKEN, post


def test_reads_are_retried_by_the_sdk(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour, channel: str
) -> None:
    faults.lose_answer("conversations.list")
    faults.answer_instead("conversations.history", PlainTextResponse("oops", 503))
    assert chat.post(post()).applied
    assert service.calls.count("conversations.list") == 2


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
