"""An address has one form and one place, whoever wrote it down."""

import pytest

from activities.accesses.access import address_of, place_of


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
