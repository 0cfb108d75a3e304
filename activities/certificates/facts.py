"""What a certificate says of itself: who issued it, for which names, until when, and where its revocation is told."""

import base64
import hashlib
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, Field

from libraries import x509

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as X509Certificate

SHOWN = 12
"""Characters of a fingerprint that people are shown."""

_BITS = 8
_OCSP = "1.3.6.1.5.5.7.48.1"
"""The access method of RFC 5280, 4.2.2.1."""


class Certificate(BaseModel):
    """One certificate's facts. The fingerprint is what tells one from another."""

    fingerprint: str = Field(description="SHA-256 of its DER form, hexadecimal.")
    serial: str = Field(description="Hexadecimal.")
    subject: str
    issuer: str
    names: list[str] = Field(description="DNS names it is for, wildcards included.")
    others: list[str] = Field(default_factory=list, description="What else it is for, e.g. IP addresses.")
    not_before: datetime
    not_after: datetime
    ocsp: list[str] = Field(default_factory=list, description="URLs of OCSP responders.")
    crl: list[str] = Field(default_factory=list, description="URLs of lists of what is revoked.")
    must_staple: bool = False
    renewal_id: str = Field(default="", description="How its authority is asked for its renewal window (RFC 9773).")

    @property
    def lifetime(self) -> timedelta:
        """How long it is valid in all."""
        return self.not_after - self.not_before

    @property
    def short(self) -> str:
        """The beginning of its fingerprint."""
        return self.fingerprint[:SHOWN]

    def left(self, at: datetime) -> timedelta:
        """How long it is still valid."""
        return self.not_after - at

    def covers(self, host: str) -> bool:
        """Tell whether it is for a host or an IP address; a wildcard stands for one label (RFC 6125)."""
        asked = _as_named(host)
        return any(_matches(name.lower(), asked) for name in self.names) or asked in self.others

    def __str__(self) -> str:
        return f"{self.short} of {self.issuer}, until {self.not_after:%Y-%m-%d %H:%M %Z}"


def _as_named(host: str) -> str:
    """Give a host as certificates name it: an address in its short form, letters beyond ASCII by IDNA."""
    with suppress(ValueError):
        return str(ip_address(host.strip("[]")))
    with suppress(UnicodeError):
        return host.lower().rstrip(".").encode("idna").decode()
    return host.lower()


def _matches(name: str, host: str) -> bool:
    if not name.startswith("*."):
        return name == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == name[2:]


def facts(certificate: "X509Certificate") -> Certificate:
    """Read a certificate."""
    names, others = _alternative_names(certificate)
    return Certificate(
        fingerprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        serial=f"{certificate.serial_number:x}",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=names,
        others=others,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        ocsp=_ocsp(certificate),
        crl=_crl(certificate),
        must_staple=_extension(certificate, x509.TLSFeature) is not None,
        renewal_id=_renewal_id(certificate),
    )


def chain_of(pem: bytes) -> "list[X509Certificate]":
    """Read the certificates of a PEM file, the server's own first.

    Raises:
        ValueError: there is none, or one can't be read.

    """
    return x509.load_pem_x509_certificates(pem)


def _extension(certificate: "X509Certificate", kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None  # one that nobody can read says nothing, and hides no other certificate


def _alternative_names(certificate: "X509Certificate") -> tuple[list[str], list[str]]:
    found = _extension(certificate, x509.SubjectAlternativeName)
    names = [name.value for name in found or () if isinstance(name, x509.DNSName)]
    return names, [str(name.value) for name in found or () if not isinstance(name, x509.DNSName)]


def _ocsp(certificate: "X509Certificate") -> list[str]:
    found = _extension(certificate, x509.AuthorityInformationAccess)
    return [str(one.access_location.value) for one in found or () if one.access_method.dotted_string == _OCSP]


def _crl(certificate: "X509Certificate") -> list[str]:
    found = _extension(certificate, x509.CRLDistributionPoints)
    return [str(name.value) for point in found or () for name in point.full_name or ()]


def _renewal_id(certificate: "X509Certificate") -> str:
    """Give the identifier of RFC 9773, 4.1: the authority's key, and the serial as DER has it."""
    found = _extension(certificate, x509.AuthorityKeyIdentifier)
    if found is None or found.key_identifier is None:
        return ""
    serial = certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // _BITS + 1, "big")  # room for the sign, which is never set
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (found.key_identifier, octets))
