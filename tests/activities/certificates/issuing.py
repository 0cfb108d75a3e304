"""Certificates of any age, from an authority of the test's own, and Secrets that hold them."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from activities.certificates.facts import Certificate, chain_of, facts

DAY = timedelta(days=1)


class Issuer:
    """Issues whatever it is asked for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A root of the test's own")])
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

    def write_root(self, file: Path) -> Path:
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
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return signed.public_bytes(serialization.Encoding.PEM), private


class TlsSecretsOf:
    """The TLS Secrets of a namespace, as `kubectl` would see and change them."""

    def __init__(self, kube: httpx.Client, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/secrets"

    def put(self, name: str, chain: bytes, key: bytes, **annotations: str) -> None:
        """Create it, or replace what it holds."""
        data = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()}
        body = {"metadata": {"name": name, "annotations": annotations}, "type": "kubernetes.io/tls", "data": data}
        if self.there(name):
            kind = {"Content-Type": "application/merge-patch+json"}
            self.kube.patch(f"{self.path}/{name}", headers=kind, json={"data": data}).raise_for_status()
        else:
            self.kube.post(self.path, json=body).raise_for_status()

    def there(self, name: str) -> bool:
        return self.kube.get(f"{self.path}/{name}").is_success

    def raw(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get(f"{self.path}/{name}").raise_for_status().json()
        return found

    def data(self, name: str, key: str) -> bytes:
        return base64.b64decode(self.raw(name)["data"][key])

    def certificate(self, name: str) -> Certificate:
        return facts(chain_of(self.data(name, "tls.crt"))[0])

    def key_fits(self, name: str) -> bool:
        """Whether the key that it holds is the certificate's."""
        key = serialization.load_pem_private_key(self.data(name, "tls.key"), None)
        return key.public_key() == chain_of(self.data(name, "tls.crt"))[0].public_key()
