"""An address to look at is read as people write it, and nothing else is taken for one."""

import pytest
from pydantic import ValidationError

from activities.catalogue.certificates import ServedName, address_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 443)),
        ("10.0.0.1:8443", ("10.0.0.1", 8443)),
        ("2001:db8::1", ("2001:db8::1", 443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, expected: tuple[str, int]) -> None:
    assert address_of(text, 443) == expected


@pytest.mark.parametrize(
    "text", ["", "example.test", "10.0.0.1:https", "10.0.0.1:-1", "[2001:db8::1]443", "[2001:db8::1]:x", "10.0.0.256"]
)
def test_what_is_no_address_is_named_before_any_look(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        address_of(text, 443)
    with pytest.raises(ValidationError, match=r"expected IP, IP:port or \[IPv6\]:port"):
        ServedName(host="example.test", addresses=("10.0.0.1", text))


def test_a_name_is_said_with_its_port_where_that_is_not_the_usual_one() -> None:
    assert str(ServedName(host="example.test")) == "example.test"
    assert str(ServedName(host="example.test", port=8443)) == "example.test:8443"
