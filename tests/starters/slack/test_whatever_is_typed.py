"""Whatever a person types in Slack: it is answered in a sentence, and no post of Slack's fails here."""

import json
from contextlib import suppress
from typing import Any

import pytest
from temporalio.service import RPCError

from starters.slack import forms, limits
from starters.steering.wording import words_of
from tests.starters.slack.conftest import Office
from workers.registry import PROCEDURES, Procedure

ODD = [
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "\u202etxet",
    "x" * 2900,
    "9" * 2900,
    "²",
    "--5",
    "-",
    "' OR 1=1 --",
    '" OR WorkflowId > "',
    "<!channel> <@U1> <http://evil.example|here>",
    "[" * 2900,
    "{}",
    "0001-01-01T00:00:00+14:00",
    "P999999999D",
    "999999999999 days",
    "1e999",
]


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starters.slack.conversation.WITHIN", 60.0)


def told(answer: dict[str, Any], *sent: object) -> None:
    text = json.dumps(answer, ensure_ascii=False)
    assert "<!channel>" not in text, sent
    assert "<http://evil" not in text, sent
    assert "Traceback" not in text, sent


async def test_what_is_typed_behind_the_command_is_answered(office: Office) -> None:
    async with office.working(), office.listening("http", follows=False):
        for odd in ODD:
            for verb in ("", "list ", "start ", "status ", "take-over "):
                told(await office.slack.command(f"{verb}{odd}"), verb, odd)
            told(await office.slack.command("list", user=odd), odd)


@pytest.mark.parametrize(
    "odd",
    [{"user": "UADA"}, {"user": ["UADA"]}, {"team": "T1"}, {"actions": ["say"]}, {"actions": 7}],
    ids=str,
)
async def test_what_nobody_foresaw_is_answered_too(office: Office, odd: dict[str, Any]) -> None:
    """Slack would call a failure of ours a time-out, and send it again."""
    payload = office.slack.presses([{"elements": [limits.button("Note", "say:note", "{}")]}], "Note")
    async with office.listening("http", follows=False):
        assert await office.slack.deliver("interactive", {**payload, **odd}) == {}
        assert await office.slack.whisper("Our log says why")


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
async def test_what_is_typed_into_a_start_modal_is_answered_at_its_input(office: Office, entry: Procedure) -> None:
    async with office.working(), office.listening("http", follows=False) as session:
        await office.slack.command(f"start {entry.command}")
        view = await office.slack.view()
        texts = [
            one["block_id"] for one in view["blocks"] if (one.get("element") or {}).get("type") == "plain_text_input"
        ]
        for number, odd in enumerate(ODD):
            sent = office.slack.submission(view, **dict.fromkeys(texts, odd))
            sent["view"]["id"] = f"V{number}"
            told(await office.slack.deliver("interactive", sent), odd)
        query = f'RunbookService = "{office.service}" AND ExecutionStatus = "Running"'
        async for one in session.client.list_workflows(query):
            with suppress(RPCError):  # it has ended meanwhile
                await session.client.get_workflow_handle(one.id).terminate("the test has seen enough")


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_what_is_typed_into_a_words_modal_is_read_or_stands_at_its_input(entry: Procedure) -> None:
    for word in words_of(entry).values():
        for name in word.kind.model_fields:
            for odd in ODD:
                for state in ({"value": odd}, {"selected_date": odd}, {"selected_date_time": 10**15}):
                    try:
                        forms.filled(word.kind, {name: {"value": state}})
                    except forms.NotFit as refused:
                        told(refused.errors, name, odd)
