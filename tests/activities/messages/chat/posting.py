"""Messages as runs post them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.messages.chat.chat import PostMessage, ScheduleMessage
from activities.messages.chat.pictures import Picture, Value
from tests.records_schema.fixtures import effect

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
