"""TLS versions and ciphers that a server takes, and how they are judged."""

from pathlib import Path

import pytest

from activities.certificates.ciphers import Offer, offers
from activities.compliance.encryption import (
    _judged,
)
from tests.activities.certificates.issuing import Issuer
from tests.activities.certificates.tls_servers import tls_server

HOST = "api.tensafe.test"


def test_versions_and_ciphers_are_those_that_are_taken(tmp_path: Path) -> None:
    with tls_server(tmp_path, *Issuer().issue(HOST)) as address:
        host, _, port = address.rpartition(":")
        found = {one.version: one for one in offers(HOST, (host, int(port)))}
    assert set(found) == {"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}
    assert "TLS_AES_256_GCM_SHA384" in found["TLS 1.3"].ciphers
    assert any("GCM" in cipher for cipher in found["TLS 1.2"].ciphers)
    assert not any("NULL" in cipher or "RC4" in cipher for one in found.values() for cipher in one.ciphers)
    assert not found["TLS 1.0"].ciphers
    assert found["TLS 1.0"].why


@pytest.mark.parametrize(
    ("offers_", "state"),
    [
        ([Offer("TLS 1.0", ("ECDHE-RSA-AES128-SHA",))], "weak"),
        ([Offer("TLS 1.2", ("DES-CBC3-SHA",))], "weak"),
        ([Offer("TLS 1.2", ("ECDHE-RSA-DES-CBC3-SHA",))], "weak"),
        ([Offer("TLS 1.2", ("ECDHE-RSA-AES128-GCM-SHA256",)), Offer("TLS 1.0", why="refused")], "encrypted"),
        ([Offer("TLS 1.2", why="refused")], "could not look"),
    ],
)
def test_what_was_taken_is_judged(offers_: list[Offer], state: str) -> None:
    assert _judged("x", offers_).state == state
