"""`python -m sandbox.tls_service`: answers TLS for the service with what its Secret holds, and tells what is served.

`/metrics` shakes hands at every scrape, as Prometheus' blackbox exporter does, and has its name for what it finds.
`PUT /certificate/{days}` puts a certificate with so many days left into the Secret.
"""

import argparse
import base64
import socket
from http import HTTPStatus
from pathlib import Path

import httpx
import uvicorn
from cryptography import x509
from OpenSSL import SSL
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import kubernetes_api
from sandbox.issuer import DAY, Issuer
from sandbox.ports import LOOPBACK
from sandbox.tls_ingress import TlsIngress

_SECONDS = 0.8
"""For a handshake: less than a scrape may take."""

_FRESH = 80 * DAY
_MERGE = {"Content-Type": "application/merge-patch+json"}


def served(host: str, port: int) -> list[x509.Certificate]:
    """Shake hands with this machine and give the chain that was sent, whoever vouches for it.

    Raises:
        OSError, OpenSSL.SSL.Error: there was no handshake.

    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection((LOOPBACK, port), timeout=_SECONDS) as connected:
        connected.setblocking(True)  # OpenSSL's own reads know no timeout of Python's
        limit = int(_SECONDS * 1_000_000).to_bytes(8, "little")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(8) + limit)
        connection = SSL.Connection(context, connected)
        connection.set_tlsext_host_name(host.encode("idna"))
        connection.set_connect_state()
        connection.do_handshake()
        return [one.to_cryptography() for one in connection.get_peer_cert_chain() or ()]


class Certificates:
    """The Secret, and what comes of it."""

    def __init__(self, api: httpx.Client, namespace: str, secret: str, host: str, issuer: Issuer) -> None:
        self._api, self._secret, self._host, self._issuer = api, secret, host, issuer
        self._path = f"/api/v1/namespaces/{namespace}/secrets"

    @property
    def there(self) -> bool:
        """Whether the Secret has been made."""
        return self._api.get(f"{self._path}/{self._secret}").is_success

    def put(self, days: float) -> None:
        """Put one of 90 days into the Secret, with `days` left."""
        chain, key = self._issuer.issue(self._host, left=days * DAY)
        data = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()}
        if self.there:
            self._api.patch(f"{self._path}/{self._secret}", json={"data": data}, headers=_MERGE).raise_for_status()
            return
        secret = {"metadata": {"name": self._secret}, "type": "kubernetes.io/tls", "data": data}
        self._api.post(self._path, json=secret).raise_for_status()


def application(certificates: Certificates, service: str, host: str, port: int) -> Starlette:
    """Put the endpoints together."""

    def metrics(_: Request) -> Response:
        registry = CollectorRegistry()
        labels = {"service": service, "target": f"{host}:{port}"}
        success = Gauge("probe_success", "1 where there was a handshake.", labels, registry=registry)
        try:
            ends = [one.not_valid_after_utc.timestamp() for one in served(host, port)]
        except (OSError, SSL.Error):
            ends = []
        success.labels(**labels).set(bool(ends))
        if ends:
            expiry = Gauge(
                "probe_ssl_earliest_cert_expiry",
                "When the first of the chain ends, in Unix time.",
                labels,
                registry=registry,
            )
            expiry.labels(**labels).set(min(ends))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    def certificate(request: Request) -> Response:
        certificates.put(float(request.path_params["days"]))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/certificate/{days:float}", certificate, methods=["PUT"])]
    )


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.tls_service", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", default="tensafe")
    parser.add_argument("--service", default="tensafe-server")
    parser.add_argument("--secret", required=True, help="made with a fresh certificate where it isn't there")
    parser.add_argument("--host", required=True, help="the name that the certificate is for")
    parser.add_argument("--port", type=int, required=True, help="for TLS")
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--authority", type=Path, required=True, help="root of the authority that renews it")
    parser.add_argument("--roots", type=Path, required=True, help="written: what vouches for what is served")
    options = parser.parse_args()
    issuer = Issuer.kept(options.roots.with_name("issuer-key.pem"))
    issuer.write_root(options.roots)
    options.roots.write_bytes(options.roots.read_bytes() + options.authority.read_bytes())
    api = kubernetes_api.connect(options.kubeconfig)
    certificates = Certificates(api, options.namespace, options.secret, options.host, issuer)
    if not certificates.there:
        certificates.put(_FRESH / DAY)
    with TlsIngress(options.kubeconfig, options.namespace, options.secret, port=options.port):
        uvicorn.run(
            application(certificates, options.service, options.host, options.port),
            host=LOOPBACK,
            port=options.metrics_port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )


if __name__ == "__main__":
    main()
