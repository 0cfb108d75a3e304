"""Who a user of Slack is to runs: by the settings, or by membership of a user group.

Slack says which user of which workspace has pressed. Whom no setting names may say nothing; nor may anybody of another
workspace, who is in the channel by Slack Connect, nor guests and bots. A group's members are known by the mail address
that Slack has confirmed. What can't be looked up gives no role.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from activities.common.errors import ActivityFailure
from activities.messages.chat.slack_calls import SlackCalls
from starters.steering.errors import Refused
from starters.steering.identity import Person
from workers.settings import SlackSettings

_log = structlog.get_logger(__name__)
_KEPT_FOR = 60.0  # seconds: so long somebody who has left a group may still speak for it
_STRANGE = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")


@dataclass(frozen=True)
class Someone:
    """A known person, with all the roles in which they may speak."""

    who: str
    roles: tuple[str, ...]

    def as_one_of(self, allowed: Iterable[str] | None, what: str) -> Person:
        """Give them in a role that may.

        Raises:
            Refused: none of theirs may; says whose it is.

        """
        if allowed is None:
            return Person(self.who, self.roles[0])
        may = [*allowed]
        for role in self.roles:
            if role in may:
                return Person(self.who, role)
        raise Refused(
            f"{self.who} ({', '.join(self.roles)}) may not {what}. Roles that may: {', '.join(may) or 'none'}"
        )

    @property
    def first(self) -> Person:
        """Them in their first role."""
        return Person(self.who, self.roles[0])


class People:
    """Looks people up, and remembers them for a minute."""

    def __init__(self, settings: SlackSettings, calls: SlackCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._known: dict[str, tuple[float, Any]] = {}

    async def known(self, user: dict[str, Any], team: str) -> Someone:
        """Say who a user is.

        Raises:
            Refused: nobody that settings know.

        """
        identity = str(user.get("id") or user.get("user_id") or "")
        home = await self.home()
        if team != home or str(user.get("team_id") or home) != home:
            raise Refused("only people of this app's own workspace are heard")
        named = self._settings.people.get(identity)
        roles = [*(named.roles if named else ())]
        for group, its in self._settings.groups.items():
            if identity in await self._members(group):
                roles += [role for role in its if role not in roles]
        if not roles:
            raise Refused(
                f"nobody knows {identity or 'this user'}: [slack.people] or [slack.groups] name who may speak"
            )
        return Someone(named.who if named else await self._address(identity), tuple(roles))

    async def home(self) -> str:
        """Give the workspace that counts.

        Raises:
            Refused: Slack doesn't say which is ours.

        """
        if self._settings.team_id:
            return self._settings.team_id
        answer = await self._asked("home", "auth.test", {})
        if not (team := str(answer.get("team_id") or "")):
            raise Refused("Slack does not say which workspace is ours: set [slack] team_id, or try again")
        return team

    async def _members(self, group: str) -> frozenset[str]:
        answer = await self._asked(f"group {group}", "usergroups.users.list", {"usergroup": group})
        return frozenset(map(str, answer.get("users") or ()))

    async def _address(self, identity: str) -> str:
        """Give the confirmed mail address of a member of this workspace."""
        profile = (await self._asked(f"user {identity}", "users.info", {"user": identity})).get("user") or {}
        address = str((profile.get("profile") or {}).get("email") or "")
        if any(profile.get(one) for one in _STRANGE) or not profile.get("is_email_confirmed") or not address:
            raise Refused(
                "Slack has no confirmed mail address of a full member here: [slack.people] can name this user"
            )
        return address

    async def _asked(self, key: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        at, answer = self._known.get(key, (0.0, {}))
        if answer and time.monotonic() - at < _KEPT_FOR:
            return dict(answer)
        try:
            found = await asyncio.to_thread(self._calls.repeat, method, (), **params)
        except ActivityFailure as error:
            _log.warning("slack can't say who somebody is", method=method, why=error.message)
            return {}
        self._known[key] = (time.monotonic(), found or {})
        return found or {}
