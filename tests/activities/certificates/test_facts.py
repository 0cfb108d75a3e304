"""What is read of a certificate: of one that others can't read, too."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from activities.certificates.facts import Certificate, facts

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def issued(*extensions: x509.ExtensionType) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=90))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256())


def named(*names: x509.GeneralName) -> Certificate:
    return facts(issued(x509.SubjectAlternativeName(names)))


def test_an_extension_that_is_there_twice_hides_nothing_else() -> None:
    one, other = (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00") for oid in ("1.2.3.4", "1.2.3.5"))
    der = issued(one, other).public_bytes(Encoding.DER).replace(b"\x2a\x03\x05", b"\x2a\x03\x04")
    twice = x509.load_der_x509_certificate(der)
    with pytest.raises(x509.DuplicateExtension):
        _ = twice.extensions
    found = facts(twice)
    assert (found.subject, found.names) == ("CN=shop", [])
    assert not found.covers("shop")


@pytest.mark.parametrize(
    "host",
    ["shop.example", "SHOP.example", "shop.example.", "a.shop.example", "xn--bcher-kva.example", "bücher.example"],
)
def test_names_that_it_is_for(host: str) -> None:
    found = named(*map(x509.DNSName, ("shop.example", "*.shop.example", "xn--bcher-kva.example")))
    assert found.covers(host)


@pytest.mark.parametrize(
    "host",
    ["example", "a.b.shop.example", ".shop.example", "shop.example.org", "buecher.example", "192.0.2.1", "x" * 70],
)
def test_names_that_it_is_not_for(host: str) -> None:
    found = named(*map(x509.DNSName, ("shop.example", "*.shop.example", "xn--bcher-kva.example")))
    assert not found.covers(host)


@pytest.mark.parametrize("host", ["2001:db8::1", "2001:0DB8:0::1", "[2001:db8::1]", "192.0.2.7"])
def test_addresses_that_it_is_for(host: str) -> None:
    found = named(*(x509.IPAddress(ip_address(each)) for each in ("2001:db8::1", "192.0.2.7")))
    assert found.covers(host)
    assert not found.covers("2001:db8::2")
