"""An address has one form and one place, whoever wrote it down."""

import pytest

from activities.accesses.access import address_of, cut, is_public, place_of


@pytest.mark.parametrize(
    ("text", "address", "place"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("198.51.100.7/32", "198.51.100.7", "198.51.100.0/24"),
        ("[2001:DB8:0:1::7]", "2001:db8:0:1::7", "2001:db8::/48"),
        (" fe80::1%eth0 ", "fe80::1%eth0", "fe80::/48"),
        ("unix:", "unix:", "unix:"),
        ("=cmd()" * 100, f"{'=cmd()' * 33}=…", f"{'=cmd()' * 33}=…"),
        ("", "", ""),
    ],
)
def test_addresses(text: str, address: str, place: str) -> None:
    assert address_of(text) == address
    assert place_of(text) == place


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("8.8.8.8", True),
        ("::ffff:8.8.8.8", True),
        ("[2606:4700::1]", True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("127.0.0.1", False),
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("2001:db8::1", False),
        ("example.test", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(text: str, *, public: bool) -> None:
    assert is_public(text) is public


def test_a_text_is_cut_to_what_a_finding_shows_and_says_so() -> None:
    assert cut("x" * 200) == "x" * 200
    assert cut("x" * 201) == "x" * 199 + "…"
