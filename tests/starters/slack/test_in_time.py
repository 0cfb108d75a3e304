"""Slack is answered in time, and by then the word is in the run's history; where Temporal is slow, people are told."""

import time

import pytest

from starters.slack import conversation
from starters.steering.session import Session
from tests.starters.gate import Gate, gate
from tests.starters.slack.conftest import Office
from tests.starters.slack.words import begun, words_taken
from workers.clients import connect
from workers.settings import TemporalSettings

pytestmark = pytest.mark.servers
WITHIN = conversation.WITHIN
"""What counts in production; `time_enough` of these tests changes it."""


async def directly(office: Office) -> Session:
    """Ask Temporal beside the gate."""
    return Session(office.settings, await connect(TemporalSettings(address=office.address)))


def behind(office: Office, way: Gate) -> None:
    """Have what listens reach Temporal through the gate, and answer in its own time."""
    temporal = TemporalSettings(address=way.address, task_queue=office.queue)
    office.settings = office.settings.model_copy(update={"temporal": temporal})


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_when_slack_is_answered_the_word_is_in_the_runs_history(office: Office, way: str) -> None:
    session = await directly(office)
    async with office.working(), office.listening(way):
        await begun(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        assert await words_taken(session, f"p1-incident/{office.service}") == 0
        await office.slack.press(asked["blocks"], "rollback")
        assert await words_taken(session, f"p1-incident/{office.service}") == 1


@pytest.mark.parametrize("then", ["it answers again", "it goes down"])
async def test_while_temporal_is_slow_slack_is_answered_and_people_are_told(
    office: Office, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    session = await directly(office)
    workflow_id = f"p1-incident/{office.service}"
    async with gate(office.address) as way:
        behind(office, way)
        async with office.working(), office.listening("http"):
            await begun(office)
            asked = await office.slack.head(office.channel, "mitigation-1")
            monkeypatch.setattr(conversation, "WITHIN", WITHIN)
            way.shut()
            began = time.monotonic()
            await office.slack.press(asked["blocks"], "rollback")
            took = time.monotonic() - began
            # Slack has its answer though Temporal hasn't given one: the time is ours, and bench's to measure.
            await office.slack.whisper("Not taken yet: Temporal, or a worker of this run, has not answered")
            assert took < office.slack.patience
            assert await words_taken(session, workflow_id) == 0
            if then == "it goes down":
                way.cut()
                await office.slack.whisper("It was not taken: Temporal does not answer")
                assert await words_taken(session, workflow_id) == 0
                return
            way.open()
            await office.slack.whisper("rollback: it counts")
            assert await words_taken(session, workflow_id) == 1
            await office.slack.head(office.channel, "mitigation-1: rollback", "ada@example.org (commander)")
