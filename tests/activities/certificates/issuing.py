"""Secrets that hold certificates, as people and runs see them."""

import base64
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization

from activities.certificates.facts import Certificate, chain_of, facts
from sandbox.issuer import DAY, Issuer

__all__ = ["DAY", "Issuer", "TlsSecretsOf"]


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
