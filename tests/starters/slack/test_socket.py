"""What Slack does with a socket: it says no, closes it, sends again what it has heard nothing of, and says "later"."""

import asyncio
import json

import pytest

from starters.slack import conversation
from tests.plugins.patience import HANGS
from tests.starters.slack.conftest import Office
from tests.starters.slack.words import begun, words_taken

pytestmark = pytest.mark.servers


async def test_a_socket_that_slack_closes_is_opened_anew_and_a_word_counts_once(office: Office) -> None:
    async with office.working(), office.listening("socket") as session:
        await begun(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        (first,) = office.slack.sockets
        # As Slack does every hour or so: it says so, and closes then.
        await first.send_str(json.dumps({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}}))
        async with asyncio.timeout(HANGS):
            while office.slack.sockets in ([], [first]):
                await asyncio.sleep(0.05)
        await first.close()
        press = office.slack.presses(asked["blocks"], "rollback")
        for _ in range(2):  # the second as Slack sends again what was not acknowledged
            await office.slack.deliver("interactive", press)
        await office.slack.head(office.channel, "mitigation-1: rollback")
        assert await words_taken(session, f"p1-incident/{office.service}") == 1


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_a_command_that_comes_again_says_nothing_a_second_time(office: Office, way: str) -> None:
    """Whoever sends what Slack has signed once more must not undo what was said after it."""
    workflow_id = f"p1-incident/{office.service}"
    async with office.working(), office.listening(way) as session:
        await begun(office)
        await office.slack.head(office.channel, "mitigation-1")
        text = f"take-over {workflow_id} by hand"
        typed = office.slack.typed(text)
        assert "is yours" in json.dumps(await office.slack.deliver("slash_commands", typed))
        held = await office.slack.head(office.channel, "ada@example.org (commander) has it", "Hand back")
        await office.slack.press(held["blocks"], "Hand back")
        await office.slack.head(office.channel, "Given back", "Take over")
        await office.slack.deliver("slash_commands", typed)
        assert await words_taken(session, workflow_id) == 2
        assert not (await session.client.get_workflow_handle(workflow_id).query("status"))["board"]
        # Who types it anew means it.
        assert "is yours" in json.dumps(await office.slack.command(text))
        assert await words_taken(session, workflow_id) == 3


async def test_a_socket_is_asked_for_again_only_after_what_slack_has_asked(office: Office) -> None:
    contract = office.slack.contract
    contract.limit("apps.connections.open", 3)
    async with office.listening("socket", follows=False):
        answer = await office.slack.command("list")
        assert answer["text"].endswith(" open")
    assert contract.too_soon == []
    assert contract.calls.count("apps.connections.open") == 2


async def test_an_answer_that_follows_is_told_after_what_slack_has_asked(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = office.slack.contract
    async with office.working(), office.listening("socket", follows=False):
        await begun(office)
        monkeypatch.setattr(conversation, "WITHIN", 0.0)  # so all is told afterwards
        contract.limit("respond", 2)
        assert await office.slack.command("take-over nothing-like-it by hand") == {}
        await office.slack.whisper("nothing-like-it")
    assert contract.too_soon == []
    assert len(contract.whispers) == 1
