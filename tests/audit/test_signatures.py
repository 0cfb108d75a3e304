"""A signature fits the words of one run alone, by one of the keys; what is no signature or no key fits nothing."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.signatures import canonical, fitting, word_bytes

KEY = Ed25519PrivateKey.generate()
WORD: dict[str, Any] = {"who": "ada", "choice": "rollback", "signature": "whatever"}


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signed(message: bytes) -> str:
    return base64.b64encode(KEY.sign(message)).decode()


def test_the_same_value_has_the_same_bytes_and_what_json_can_not_hold_has_none() -> None:
    assert canonical({"b": 1, "a": "ü"}) == canonical({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
    for odd in (float("nan"), 2**53 + 1):
        with pytest.raises(ValueError, match=r".+"):
            canonical({"a": odd})


def test_every_field_the_update_and_the_run_are_signed_but_not_the_signature() -> None:
    mine = word_bytes("decide", "w", "r", WORD)
    assert mine == word_bytes("decide", "w", "r", WORD | {"signature": "another"})
    for other in (
        word_bytes("close", "w", "r", WORD),
        word_bytes("decide", "v", "r", WORD),
        word_bytes("decide", "w", "s", WORD),
        word_bytes("decide", "w", "r", WORD | {"choice": "none"}),
    ):
        assert other != mine


def test_it_fits_one_of_the_keys() -> None:
    message = word_bytes("decide", "w", "r", WORD)
    keys = ["no key", base64.b64encode(b"short").decode(), public(Ed25519PrivateKey.generate()), public(KEY)]
    assert fitting(signed(message), message, keys) == public(KEY)
    assert fitting(signed(message), message, keys[:-1]) is None
    assert fitting(signed(message), message + b" ", keys) is None
    assert fitting("no base64!", message, keys) is None
