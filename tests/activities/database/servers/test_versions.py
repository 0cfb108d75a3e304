"""A server older than runs know is refused by its version, and a newer one is not."""

import pytest

from activities.database.servers.versions import unsupported


@pytest.mark.parametrize("version", [130_000, 180_001, 190_000])
def test_servers_from_13_on_are_worked_with(version: int) -> None:
    assert unsupported(version) == ""


def test_an_older_server_is_named_with_the_way_out() -> None:
    said = unsupported(120_022)
    assert "12.22" in said
    assert "Upgrade it first" in said
