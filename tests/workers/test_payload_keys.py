"""Keys of the payload codec are 32 bytes in base64; one that isn't is named by its place, never by what it is."""

import base64

import pytest
from pydantic import SecretStr

from workers.payload_keys import key_bytes

GOOD = base64.b64encode(bytes(range(32))).decode()


def test_each_key_is_read() -> None:
    assert key_bytes([SecretStr(GOOD), SecretStr(GOOD)]) == [bytes(range(32))] * 2
    assert key_bytes([]) == []


@pytest.mark.parametrize(
    "wrong", ["", "hunter2", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode(), f" {GOOD}"]
)
def test_one_that_is_none_is_named_by_its_place(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"payload_keys\.1: not 32 bytes in base64; `openssl rand") as refused:
        key_bytes([SecretStr(GOOD), SecretStr(wrong)])
    assert not wrong or wrong not in str(refused.value)
