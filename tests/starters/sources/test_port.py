"""What is no JSON is unreadable, and half a character loses no post."""

import pytest

from starters.sources.port import Unreadable, document
from tests.starters.sources.reading import each, said
from tests.starters.sources.senders import Message, Sender


@each
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"[" * 50_000, b"\xff", b"null"])
def test_what_is_no_object_of_json_is_unreadable(sender: Sender, content: bytes) -> None:
    message = sender.fires()
    with pytest.raises(Unreadable):
        said(sender.name, Message(message.headers, content))


def test_half_a_character_loses_no_post() -> None:
    """Senders in JavaScript cut a text in the middle of one."""
    assert document(b'{"a": "x\\ud83d", "b": "\\ud83d\\ude00"}') == {"a": "x?", "b": "\U0001f600"}


@pytest.mark.parametrize(
    "text", ["d\xf6wn".encode("latin-1"), "d\xf6wn".encode()[:2]], ids=["of another encoding", "cut"]
)
def test_bytes_that_are_no_character_lose_no_post(text: bytes) -> None:
    assert document(b'{"a": "' + text + b'", "b": 1}') == {"a": text.decode(errors="replace"), "b": 1}
