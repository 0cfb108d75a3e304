"""Chat: Slack, or our own records where no token is configured (runbook 1, 2.2).

Slack has no idempotent post, so each message carries its effect's key as metadata, and every post looks for it in
the channel's history first.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Effect, effect
from activities.common.text import Key, Shown
from activities.messages.chat.pictures import Picture
from audit.text import shown


def escaped(text: str) -> str:
    """Give text in which Slack sees no mention, no channel and no link that we haven't made (docs.slack.dev, mrkdwn).

    What an alert or a person has written is text: `<!channel>` wakes nobody, and `<` isn't lost.
    """
    return shown(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class PostMessage(BaseModel):
    """Post to a channel, or into a thread of it; so does `tensafe-admin notify stakeholders` (2.2 step 8)."""

    channel: str = Field(description="`#name` or an ID.")
    text: str = Field(description="Slack mrkdwn.")
    thread: str | None = Field(default=None, description="Message ID of the thread's first message.")
    opened_by: str = Field(
        default="",
        description="Where that isn't known yet: the key of the effect that posts the thread's first message.",
    )
    picture: Picture | None = Field(default=None, description="A chart that goes with it; the text says it all.")
    effect: Effect


class ScheduleMessage(BaseModel):
    """Post later."""

    channel: str
    text: str
    thread: str | None = None
    post_at: datetime
    effect: Effect


class Message(BaseModel):
    """A message that is posted, or will be."""

    channel: Key = Field(description="ID, at Slack.")
    message_id: Key = Field(description="Slack's `ts` or `scheduled_message_id`; empty in plan mode.")
    applied: bool
    detail: Shown = ""

    def __str__(self) -> str:
        return f"{self.channel}{', ' + self.detail if self.detail else ''}"


_LOOKS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Seconds before each look for a thread that is being opened: within a step's time, and nobody waits for it."""


def sought(find: Callable[[], str | None]) -> str | None:
    """Look for the first message of a thread that is just being opened; None where it doesn't come."""
    for pause in _LOOKS:
        time.sleep(pause)
        if found := find():
            return found
    return None


class Chat(Protocol):
    """A chat backend; idempotent by the effect's key."""

    def post(self, request: PostMessage) -> Message:
        """Post now."""

    def schedule(self, request: ScheduleMessage) -> Message:
        """Post later."""


class Slack:
    """Speaks through the configured backend."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    @activity.defn(name="slack.post")
    @effect
    def post(self, request: PostMessage) -> Message:
        """Post a message."""
        return self._chat.post(request)

    @activity.defn(name="slack.schedule")
    @effect
    def schedule(self, request: ScheduleMessage) -> Message:
        """Schedule a message (2.2 step 14)."""
        return self._chat.schedule(request)
