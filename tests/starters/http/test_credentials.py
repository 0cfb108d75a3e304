"""What a request shows is read from its header as it was sent; what is unreadable opens nothing."""

import base64

import pytest

from starters.http.credentials import credential, digest, known


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "scheme", "password"),
    [
        ("", "", b""),
        ("Bearer hunter2", "bearer", b"hunter2"),
        ("bearer  hunter2 ", "bearer", b"hunter2"),
        (basic("ada:hunter2"), "basic", b"hunter2"),
        (basic("ada:hun:ter2"), "basic", b"hun:ter2"),
        (basic("no colon"), "basic", b""),
        ("Basic not base64!", "basic", b""),
        ("Bearer h\xfcnter", "bearer", b"h\xfcnter"),
    ],
)
def test_a_header_is_read(header: str, scheme: str, password: bytes) -> None:
    found = credential(header)
    assert (found.scheme, found.password) == (scheme, password)


def test_what_is_no_base64_is_nothing() -> None:
    assert credential("Basic aGk6!eA==").value == b"", "nothing is passed over in it"


def test_one_of_several_opens_and_nothing_else_does() -> None:
    digests = [digest(b"one"), digest(b"two")]
    assert known(b"two", digests)
    assert not known(b"three", digests)
    assert not known(digest(b"two"), digests)
    assert not known(b"", [])
