"""Slack's channels by name: found, joined, created where missing, and remembered."""

import re
from threading import Lock

from activities.common.errors import Refused
from activities.messages.chat.slack_calls import SlackCalls

_ID = re.compile(r"[CGD][A-Z0-9]{7,}")
_PAGES = 50  # of 200 channels each


class SlackChannels:
    """Gives the ID of `#name`; IDs pass through as they are.

    Needs the scopes channels:read, groups:read, channels:join and channels:manage.
    """

    def __init__(self, calls: SlackCalls) -> None:
        self._calls = calls
        self._known: dict[str, str] = {}
        self._lock = Lock()

    def find(self, channel: str) -> str | None:
        """Look a channel up without changing anything; None where there is none."""
        if _ID.fullmatch(channel):
            return channel
        found = self._find(_name(channel))
        return found[0] if found else None

    def known(self, channel: str) -> str | None:
        """Look a channel up, unless it has been opened already; None where there is none."""
        with self._lock:
            known = self._known.get(channel)
        return known or self.find(channel)

    def open(self, channel: str) -> str:
        """Give the ID of a channel that the app is a member of, joining or creating it first where needed.

        Raises:
            Refused: it can't be joined or created, e.g. an archived channel has the name.

        """
        with self._lock:
            known = self._known.get(channel)
        if known is not None:
            return known
        identity = self._open_given(channel) if _ID.fullmatch(channel) else self._open(_name(channel))
        with self._lock:
            self._known[channel] = self._known[identity] = identity
        return identity

    def _join(self, identity: str) -> None:
        """Become a member; joining twice is harmless."""
        unable = {"method_not_supported_for_channel_type", "channel_not_found"}
        if self._calls.repeat("conversations.join", unable, channel=identity) is None:
            raise Refused(f"Slack's channel {identity} can't be joined: invite the app to it")

    def forget(self, channel: str) -> None:
        """Look the channel up afresh next time: the one remembered is gone."""
        with self._lock:
            self._known.pop(self._known.pop(channel, ""), None)

    def _open_given(self, identity: str) -> str:
        seen = self._calls.repeat("conversations.history", {"not_in_channel"}, channel=identity, limit=1)
        if seen is None:
            self._join(identity)
        return identity

    def _open(self, name: str) -> str:
        found = self._find(name)
        if found is None:
            created = self._calls.repeat("conversations.create", {"name_taken"}, name=name)
            if created is not None:
                return str(created["channel"]["id"])  # its creator is a member
            # Somebody was faster, or an earlier attempt of ours created it.
            found = self._find(name)
        if found is None:
            raise Refused(f"Slack's channel #{name} is archived, or private and without the app")
        identity, member = found
        if not member:
            self._join(identity)
        return identity

    def _find(self, name: str) -> tuple[str, bool] | None:
        types = "public_channel,private_channel"
        listed = self._calls.pages("conversations.list", "channels", _PAGES, exclude_archived=True, types=types)
        return next(((str(c["id"]), bool(c.get("is_member"))) for c in listed if c.get("name") == name), None)


def _name(channel: str) -> str:
    return channel.removeprefix("#").lower()
