"""What people have said to a run: each word counts once (ARCHITECTURE, rule 6).

A word carries a number used once. Whoever has seen it in a history can send it again while its signature is fresh, and
a client that has had no answer sends it again by itself. So the same word gets the answer it has had, and nothing is
done a second time. A word without a number is known by all that is signed; an unsigned one without a number can't be
told from another.

This is the one place: `workers.interceptors` asks here before every update of every procedure. What a run remembers
needn't go on with it as new, since a word is signed for one run and counts in no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio import workflow

from activities.common.errors import Refused
from workflows.platform.signing import SignedWord, digest


@dataclass(frozen=True)
class _Taken:
    content: str
    answer: "asyncio.Future[Any]"


class SaidWords:
    """The words that one run has taken, with their answers."""

    def __init__(self, tell: Callable[[str, SignedWord], None]) -> None:
        """`tell` is called with a line for the timeline where a word comes again."""
        self._tell = tell
        self._taken: dict[str, _Taken] = {}

    def again(self, word: object) -> bool:
        """Tell whether this very word was taken already.

        Raises:
            Refused: another word has its number.

        """
        if not isinstance(word, SignedWord) or (taken := self._taken.get(_number(word))) is None:
            return False
        if taken.content != _content(word):
            raise Refused("nonce: another word of this run has this number: take a new one, and sign it anew")
        return True

    async def once(self, word: object, take: Callable[[], Awaitable[Any]]) -> Any:
        """Take a word, or give the answer that it has had, a refusal too."""
        if not isinstance(word, SignedWord) or not (number := _number(word)):
            return await take()
        if (taken := self._taken.get(number)) is not None:
            self._tell(f"Said already, and not done again: {word.UPDATE}", word)
            return await asyncio.shield(taken.answer)
        answer = asyncio.get_running_loop().create_future()
        self._taken[number] = _Taken(_content(word), answer)
        try:
            told = await take()
        except (Exception, asyncio.CancelledError) as error:
            answer.set_exception(error)
            answer.exception()  # nobody may ask for it
            raise
        answer.set_result(told)
        return told


def _number(word: SignedWord) -> str:
    if word.nonce:
        return word.nonce
    return _content(word) if word.signature is not None else ""


def _content(word: SignedWord) -> str:
    info = workflow.info()
    # Not the signature: base64 has several spellings of one.
    return digest(word.signed_bytes(info.workflow_id, info.run_id).decode())
