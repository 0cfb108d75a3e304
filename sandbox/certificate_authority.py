"""A real certificate authority that speaks ACME, as child processes: Pebble, with a DNS of its own to look names up in.

Every name leads to 127.0.0.1 there unless it is told otherwise, and HTTP-01 challenges are looked for at `http_port`.
Pebble keeps everything in memory: a restarted one has a new root, and knows no account any more.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from sandbox import binaries, probes
from sandbox.certificates import write_certificate
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess

_DAY = 86_400
PROFILES: Mapping[str, int] = {"default": 90, "shortlived": 6}
"""What the authority issues: profile → days."""


class CertificateAuthority:
    """One authority with its DNS.

    Args:
        directory: For everything.
        blocked: Names that it never issues for.
        bound_to: Its customers, key ID → key (base64url), where it has accounts for none else.

    """

    name = "certificate-authority"

    def __init__(
        self, directory: Path, *, blocked: Sequence[str] = (), bound_to: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.http_port = free_port()
        self._port, self._management, self._dns, self._dns_management = (free_port() for _ in range(4))
        self._blocked = list(blocked)
        self._bound_to = dict(bound_to or {})
        self.url = f"https://{LOOPBACK}:{self._port}/dir"
        self.ca_file = directory / "api.pem"
        """What vouches for the authority's own API."""
        self.root_file = directory / "root.pem"
        """What vouches for what it issues."""
        self.processes: list[ServerProcess] = []

    def start(self) -> None:
        """Start it with a new root."""
        self.directory.mkdir(parents=True, exist_ok=True)
        key = self.directory / "api-key.pem"
        write_certificate(self.ca_file, key)
        configuration = self.directory / "pebble.json"
        configuration.write_text(json.dumps(self._configuration(key)), encoding="utf-8")
        dns = ServerProcess(
            name="dns",
            directory=self.directory,
            argv=[
                binaries.find("pebble-challtestsrv"),
                *("-dnsserver", f"{LOOPBACK}:{self._dns}", "-management", f"{LOOPBACK}:{self._dns_management}"),
                *("-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
            ],
        )
        pebble = ServerProcess(
            name="pebble",
            directory=self.directory,
            argv=[
                binaries.find("pebble"),
                *("-config", configuration, "-dnsserver", f"{LOOPBACK}:{self._dns}"),
            ],
            # No waits that only show that clients wait, and nothing by chance: no refused nonces, no names that it
            # takes for proven because they were before.
            env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"},
        )
        self.processes = [dns, pebble]
        for process in self.processes:
            process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it issues.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        dns, pebble = self.processes
        dns.wait_ready(probes.tcp(self._dns_management), timeout)
        pebble.wait_ready(probes.http(self.url, ca=self.ca_file), timeout)
        pebble.wait_ready(probes.tcp(self._management), timeout)
        with self._client() as client:
            root = client.get(f"https://{LOOPBACK}:{self._management}/roots/0").raise_for_status()
        self.root_file.write_bytes(root.content)

    def stop(self) -> None:
        """Shut down."""
        for process in reversed(self.processes):
            process.stop()

    @property
    def issued(self) -> int:
        """How many certificates it has issued for clients."""
        log = self.processes[1].log.read_text(encoding="utf-8", errors="replace")
        return log.count("Issued certificate serial")

    def resolve(self, host: str, *addresses: str) -> None:
        """Lead a name elsewhere: for the authority alone."""
        self._tell("clear-a", host=f"{host}.")
        self._tell("add-a", host=f"{host}.", addresses=list(addresses))

    def set_txt(self, name: str, value: str) -> None:
        """Add a TXT record."""
        self._tell("set-txt", host=f"{name.rstrip('.')}.", value=value)

    def clear_txt(self, name: str) -> None:
        """Remove a name's TXT records."""
        self._tell("clear-txt", host=f"{name.rstrip('.')}.")

    def suggest_renewal(self, certificate_pem: str, start: str, end: str, explanation: str = "") -> None:
        """Move the window in which a certificate that it has issued should be renewed (RFC 9773)."""
        window = {"suggestedWindow": {"start": start, "end": end}}
        told = json.dumps({**window, "explanationURL": explanation} if explanation else window)
        with self._client() as client:
            client.post(
                f"https://{LOOPBACK}:{self._management}/set-renewal-info/",
                json={"certificate": certificate_pem, "ariResponse": told},
            ).raise_for_status()

    def _tell(self, what: str, **body: Any) -> None:
        with httpx.Client(trust_env=False) as client:
            client.post(f"http://{LOOPBACK}:{self._dns_management}/{what}", json=body).raise_for_status()

    def _client(self) -> httpx.Client:
        return httpx.Client(verify=ssl.create_default_context(cafile=str(self.ca_file)), trust_env=False)

    def _configuration(self, key: Path) -> dict[str, Any]:
        return {
            "pebble": {
                "listenAddress": f"{LOOPBACK}:{self._port}",
                "managementListenAddress": f"{LOOPBACK}:{self._management}",
                "certificate": str(self.ca_file),
                "privateKey": str(key),
                "httpPort": self.http_port,
                "tlsPort": free_port(),
                "domainBlocklist": self._blocked,
                "externalAccountBindingRequired": bool(self._bound_to),
                "externalAccountMACKeys": self._bound_to,
                "retryAfter": {"authz": 1, "order": 1},
                "keyAlgorithm": "ecdsa",
                "profiles": {
                    name: {"description": name, "validityPeriod": days * _DAY} for name, days in PROFILES.items()
                },
            }
        }
