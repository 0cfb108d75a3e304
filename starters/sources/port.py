"""What every source of alerts is to the webhook: who sent it, what it says, and how its sender wants to be answered."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json

from activities.records.alerts import Alert
from starters.steering.mapping import Flaw, Ignored

JSON = frozenset({"application/json"})


@dataclass(frozen=True)
class Post:
    """What came in by HTTP."""

    headers: Mapping[str, str]
    """Names in small letters; one that came several times has its values one after the other, as a list."""

    body: bytes
    at: datetime
    """By our clock, in UTC."""


class Unauthentic(Exception):  # noqa: N818  an answer, and no fault of ours
    """Nobody knows who sent it; says what was expected."""


class Unsure(Exception):  # noqa: N818  likewise
    """Nobody can tell just now who sent it: what proves it doesn't answer. It has to come again."""


class Unreadable(Exception):  # noqa: N818  likewise
    """Its sender is known, and says nothing that is understood; a sentence without what was sent."""


@dataclass(frozen=True)
class Manners:
    """What its sender needs for an answer."""

    media: frozenset[str] = JSON
    """Content types that it sends."""

    refused: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY
    """For what will never be taken; 2xx where a 4xx makes the sender give up on us."""

    unreadable: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY
    """For what is no format of the sender's, where nothing else is said of what will never be taken."""

    too_many: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS
    """For what has to come again later; 503 where the sender takes a 429 for the last word."""

    within: timedelta | None = None
    """How long its sender waits; None where that is longer than Temporal is given."""


@dataclass(frozen=True)
class Said:
    """What a post says: firings and ends, in its order; what can't be taken; what is neither."""

    items: Sequence[Alert | Flaw | Ignored] = field(default=())
    confirm: str = ""
    """An address that its sender asks us to fetch once; it is one of the sender's own."""


class Source(ABC):
    """One sender, by its name in the settings."""

    manners = Manners()

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def check(self, post: Post) -> None:
        """See that it comes from the sender, unchanged and not too long ago.

        Raises:
            Unauthentic: it doesn't.
            Unsure: nobody can tell just now.

        """

    @abstractmethod
    def read(self, post: Post) -> Said:
        """Understand what it says; asks nobody, so that it can be tried on any payload.

        Raises:
            Unreadable: it is no body of this sender.

        """

    async def confirm(self, url: str) -> bool:
        """Fetch what the sender asked for; False where it doesn't answer, or never asks for anything."""
        del url
        return False

    def may_send(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Answer a sender that asks beforehand, by OPTIONS; None where this one never does, or may not."""
        del headers
        return None


def parsed(body: bytes) -> Any:
    """Read JSON; half a surrogate pair in it becomes a question mark, and a bare line break in a text is one.

    Senders in JavaScript cut a text in the middle of a character, others cut its bytes or send them in an encoding of
    their own, and templates of payloads put texts in as they are. One such text must not lose the alerts of a post.
    Python's own parser lets all of it through, pydantic's refuses it.

    Raises:
        Unreadable: it is none.

    """
    try:
        return from_json(body)
    except ValueError:
        pass
    try:
        text = body.decode(json.detect_encoding(body), errors="replace")
        return from_json(json.dumps(json.loads(text, strict=False), ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None


def document(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        Unreadable: it is none.

    """
    read = parsed(body)
    if not isinstance(read, dict):
        raise Unreadable("not an object of JSON")
    return read
