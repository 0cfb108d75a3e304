"""Chat in Slack.

A message carries its effect's key as metadata, and every post looks for it in the channel first, the first attempt
too: a message that was given up on is tried again later as a new activity, and a reset run starts over, both with the
same key and an attempt count of one. That costs one request a message, bounded by the look-back window.

Scheduled messages can't have metadata (Slack then silently doesn't post them), nor can the message that a file comes
with. So they end with a short reference made from the key, and that is looked for.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr
from temporalio import activity

from activities.common.effects import Effect
from activities.common.errors import ActivityFailure, Misconfigured, Refused
from activities.messages.chat.chat import Message, PostMessage, ScheduleMessage, sought
from activities.messages.chat.pictures import Picture, drawn
from activities.messages.chat.slack_calls import SlackCalls
from activities.messages.chat.slack_channels import SlackChannels
from libraries import logger

_log = logger(__name__)
EVENT_TYPE = "runbook_effect"
"""Of the metadata of all our messages."""

_LOOK_BACK = 48 * 3600  # seconds; a message is tried for a day at the longest
_PAGES = 10  # of 200 messages each
_WITH_PICTURE = 2
"""Attempts: what failed twice with its picture is to be read without it."""
_LOOKS, _LOOK_EVERY = 10, 0.3
"""For the message of a file, which Slack makes after it has answered; seconds."""


class SlackChat:
    """Posts as the app whose bot token it has.

    Scopes: those of `SlackChannels`, and chat:write, channels:history, groups:history; files:write for pictures.
    """

    def __init__(self, token: SecretStr, base_url: str = "https://slack.com/api/") -> None:
        self._calls = SlackCalls(token, base_url)
        self._channels = SlackChannels(self._calls)

    def post(self, request: PostMessage) -> Message:
        """Post, unless the channel has the message already.

        Raises:
            Unavailable, RateLimited, Misconfigured, NotFound, Refused: as `SlackCalls` does.

        """
        if request.effect.dry_run:
            return self._plan(request.channel, "would be posted")
        with self._opened(request.channel) as channel:
            again = request.picture is not None and _attempt() > 1
            looks = _LOOKS if again else 1
            there = self._find(channel, request.thread, request.effect, looks=looks)
            if there is None and request.opened_by and not request.thread:
                # An attempt before this one may have posted into the thread, or beside it where it didn't come.
                thread = sought(lambda: self._keyed(channel, request.opened_by))
                request = request.model_copy(update={"thread": thread})
                there = self._find(channel, thread, request.effect, looks=looks)
            if there is not None:
                return self._done("post", request.effect, channel, there, applied=False, detail="posted already")
            picture = request.picture if _attempt() <= _WITH_PICTURE else None
            if picture is not None and (shared := self._share(channel, request, picture)) is not None:
                return self._done("share", request.effect, channel, shared, applied=True)
            posted = self._post(channel, request)
            return self._done("post", request.effect, channel, str(posted["ts"]), applied=True)

    def channel(self, channel: str) -> str | None:
        """Give the ID of a channel, without changing anything; None where there is none.

        Raises:
            Unavailable, RateLimited, Misconfigured: as `SlackCalls` does.

        """
        return self._channels.known(channel)

    def schedule(self, request: ScheduleMessage) -> Message:
        """Schedule, unless the message is scheduled or posted already; what is late by now is posted at once.

        Raises:
            Unavailable, RateLimited, Misconfigured, NotFound, Refused: as `SlackCalls` does.

        """
        when = f"for {request.post_at:%F %H:%M %Z}".rstrip()
        if request.effect.dry_run:
            return self._plan(request.channel, f"would be scheduled {when}")
        with self._opened(request.channel) as channel:
            at, reference = int(request.post_at.timestamp()), _reference(request.effect)
            there = self._find_scheduled(channel, at, reference)
            if there is not None:
                return self._done("schedule", request.effect, channel, there, applied=False, detail=f"scheduled {when}")
            text = f"{request.text}\n_{reference}_"
            scheduled = self._calls.once(
                "chat.scheduleMessage",
                {"time_in_past"},
                channel=channel,
                text=text,
                post_at=at,
                thread_ts=request.thread or None,
            )
            if scheduled is None:
                late = PostMessage(channel=channel, text=text, thread=request.thread, effect=request.effect)
                return self.post(late)
            identity = str(scheduled["scheduled_message_id"])
            return self._done("schedule", request.effect, channel, identity, applied=True, detail=f"scheduled {when}")

    @contextmanager
    def _opened(self, channel: str) -> Iterator[str]:
        """Give the channel's ID; after a failure nothing that is remembered of it is trusted."""
        try:
            yield self._channels.open(channel)
        except ActivityFailure:
            self._channels.forget(channel)
            raise

    def _find(self, channel: str, thread: str | None, effect: Effect, *, looks: int = 1) -> str | None:
        """Find a message of this effect in the channel or thread, newest first; its `ts`.

        That of a file may come only after some looks.
        """
        for look in range(looks):
            if look:
                time.sleep(_LOOK_EVERY)
            if (there := self._found(channel, thread, effect)) is not None:
                return there
        return None

    def _found(self, channel: str, thread: str | None, effect: Effect) -> str | None:
        reference = _reference(effect)
        for message in self._recent(channel, thread):
            metadata = message.get("metadata") or {}
            key = (metadata.get("event_payload") or {}).get("key")
            ours = metadata.get("event_type") == EVENT_TYPE and key == effect.key
            if ours or reference in str(message.get("text", "")):
                return str(message["ts"])
        return None

    def _keyed(self, channel: str, key: str) -> str | None:
        for message in self._recent(channel, None):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == EVENT_TYPE and (metadata.get("event_payload") or {}).get("key") == key:
                return str(message["ts"])
        return None

    def _recent(self, channel: str, thread: str | None) -> Iterator[dict[str, Any]]:
        window = {"channel": channel, "oldest": f"{time.time() - _LOOK_BACK:.6f}", "include_all_metadata": True}
        if thread:
            return self._calls.pages("conversations.replies", "messages", _PAGES, ts=thread, **window)
        return self._calls.pages("conversations.history", "messages", _PAGES, **window)

    def _share(self, channel: str, request: PostMessage, picture: Picture) -> str | None:
        """Post with the picture; gives its `ts`, None where files are refused and the text has to do."""
        comment = f"{request.text}\n_{_reference(request.effect)}_"
        try:
            self._calls.upload(
                channel,
                drawn(picture),
                name="chart.png",
                title=picture.title,
                comment=comment,
                thread=request.thread or None,
            )
        except (Misconfigured, Refused) as error:
            _log.warning("no picture: Slack refuses files", why=error.message, effect=request.effect.key)
            return None
        return self._find(channel, request.thread, request.effect, looks=_LOOKS) or ""

    def _find_scheduled(self, channel: str, at: int, reference: str) -> str | None:
        window = {"channel": channel, "oldest": at - 60, "latest": at + 60}
        listed = self._calls.pages("chat.scheduledMessages.list", "scheduled_messages", _PAGES, **window)
        return next((str(item["id"]) for item in listed if reference in str(item.get("text", ""))), None)

    def _post(self, channel: str, request: PostMessage) -> dict[str, Any]:
        payload = {"key": request.effect.key, "workflow_id": request.effect.workflow_id}
        return (
            self._calls.once(
                "chat.postMessage",
                channel=channel,
                text=request.text,
                thread_ts=request.thread or None,
                unfurl_links=False,
                metadata={"event_type": EVENT_TYPE, "event_payload": payload},
            )
            or {}
        )

    def _plan(self, channel: str, what: str) -> Message:
        """Check the token and look the channel up, and change nothing."""
        self._calls.repeat("auth.test")
        identity = self._channels.find(channel)
        detail = what if identity else f"{what}, and the channel created"
        return Message(channel=identity or channel, message_id="", applied=False, detail=detail)

    def _done(
        self, action: str, effect: Effect, channel: str, message: str, *, applied: bool, detail: str = ""
    ) -> Message:
        _log.info("slack effect", action=action, channel=channel, message=message, applied=applied, effect=effect.key)
        return Message(channel=channel, message_id=message, applied=applied, detail=detail)


def _attempt() -> int:
    return activity.info().attempt if activity.in_activity() else 1


def _reference(effect: Effect) -> str:
    return f"ref {hashlib.sha256(effect.key.encode()).hexdigest()[:12]}"
