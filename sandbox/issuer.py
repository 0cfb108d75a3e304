"""Certificates of any age, from an authority of one's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

DAY = timedelta(days=1)


class Issuer:
    """Issues whatever it is asked for.

    Args:
        key: Of its root; a new one where none is given. With the same key it is the same authority.

    """

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A root of our own")])
        now = datetime.now(UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.root = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3650 * DAY)
            .not_valid_after(now + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    @classmethod
    def kept(cls, file: Path) -> "Issuer":
        """Give the authority whose key is in a file; at first it is made and kept there."""
        if not file.exists():
            file.touch(mode=0o600)
            file.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    def write_root(self, file: Path) -> Path:
        """Write what vouches for what it issues."""
        file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        return file

    def issue(
        self, *names: str, lifetime: timedelta = 90 * DAY, left: timedelta = 29 * DAY, revocation: bool = False
    ) -> tuple[bytes, bytes]:
        """Give a certificate that is valid for that long still, and its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        # A second is the finest that a certificate knows.
        until = datetime.now(UTC).replace(microsecond=0) + left
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - lifetime)
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        if revocation:
            responder = x509.UniformResourceIdentifier("http://ocsp.test")
            list_of_revoked = x509.UniformResourceIdentifier("http://crl.test/1.crl")
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, responder)
            point = x509.DistributionPoint([list_of_revoked], None, None, None)
            builder = (
                builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
                .add_extension(x509.CRLDistributionPoints([point]), critical=False)
                .add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
            )
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), _pem(key)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
