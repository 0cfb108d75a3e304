"""What is served: a TLS handshake with every address of a name, as a client would make it (runbook 6.3 steps 1 and 3).

`tensafe-admin cert status`, and `curl -v … | grep "expire date"`.
OpenSSL does it, by pyOpenSSL: Python's own module shows neither the chain that was sent nor a stapled OCSP answer. The
handshake goes on whatever is wrong with the certificate, and what was wrong is told.
"""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.certificates import ServedName, address_of
from activities.certificates.facts import Certificate, facts
from activities.common.heartbeat import Progress, resume, turns
from libraries import ocsp, openssl

_SECONDS = 5.0
"""For one address: to connect, and the handshake. All are asked at once, so an activity takes no longer."""

_AT_ONCE = 64
_POLL = timedelta(seconds=2)
_UNTRUSTED = {
    9: "it is not yet valid",
    10: "it has expired",
    18: "it is self-signed",
    19: "its root is not trusted",
    20: "its issuer is not known",
    21: "its chain can't be verified",
    23: "it is revoked",
}
"""OpenSSL's numbers (x509_vfy.h), in words."""


class ProbeRequest(BaseModel):
    """Which name."""

    served: ServedName


class Look(BaseModel):
    """What one address answered."""

    address: str
    certificate: Certificate | None = Field(default=None, description="None where none was seen.")
    chain: list[str] = Field(default_factory=list, description="Subjects of what it sent besides.")
    distrust: str = Field(default="", description="Why a client would refuse it; empty where it wouldn't.")
    staple: Literal["none", "good", "revoked", "unknown"] = "none"
    problem: str = Field(default="", description="Why none was seen.")

    def __str__(self) -> str:
        if self.certificate is None:
            return f"{self.address}: could not look, {self.problem}"
        distrust = f", refused by clients: {self.distrust}" if self.distrust else ""
        staple = f", OCSP says {self.staple}" if self.staple != "none" else ""
        return f"{self.address}: {self.certificate}{distrust}{staple}"


class Served(BaseModel):
    """What is served under a name, at each of its addresses."""

    host: str
    port: int
    at: datetime = Field(description="When it was looked.")
    looks: list[Look] = Field(default_factory=list)
    problem: str = Field(default="", description="Why there was no address to look at.")

    @property
    def name(self) -> str:
        """The name, as people write it."""
        return str(ServedName(host=self.host, port=self.port))

    @property
    def problems(self) -> list[str]:
        """What could not be looked at."""
        unseen = [str(look) for look in self.looks if look.certificate is None]
        return [*([f"could not look, {self.problem}"] if self.problem else []), *unseen]

    def others(self, fingerprint: str) -> list[Look]:
        """Addresses that answer with anything but this certificate, or not at all."""
        return [look for look in self.looks if look.certificate is None or look.certificate.fingerprint != fingerprint]

    def __str__(self) -> str:
        return f"{self.name}: " + "; ".join([*self.problems[: bool(self.problem)], *map(str, self.looks)])


class AwaitServed(ProbeRequest):
    """Wait until every address serves a certificate."""

    fingerprint: str
    within: timedelta


class TlsProbe:
    """Looks at what is served.

    Args:
        ca_file: What vouches for certificates; what the system trusts where it is None.

    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file

    @activity.defn(name="certificates.probe")
    def probe(self, request: ProbeRequest) -> Served:
        """Shake hands with every address of a name (6.3 steps 1, 3). What can't be looked at is part of the answer."""
        served = request.served
        now = datetime.now(UTC)
        try:
            addresses = addresses_of(served)
        except (OSError, UnicodeError) as error:  # the latter of names that can be none
            why = f"the name does not resolve ({why_not(error)})"
            return Served(host=served.host, port=served.port, at=now, problem=why)
        with ThreadPoolExecutor(max_workers=min(len(addresses), _AT_ONCE)) as pool:
            looks = list(pool.map(lambda address: self._look(served.host, *address), addresses))
        return Served(host=served.host, port=served.port, at=now, looks=looks)

    @activity.defn(name="certificates.await_served")
    def await_served(self, request: AwaitServed) -> Served:
        """Look until every address serves the certificate, or the time is up; the last look is the answer."""
        for _ in turns(resume(Progress), within=request.within, every=_POLL):
            found = self.probe(request)
            if not found.problem and not found.others(request.fingerprint):
                break
        return found

    def _look(self, host: str, address: str, port: int) -> Look:
        shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        seen = _Seen()
        deadline = time.monotonic() + _SECONDS
        try:
            with socket.create_connection((address, port), timeout=_SECONDS) as connected:
                connected.setblocking(False)
                connection = openssl.Connection(self._context(seen), connected)
                shake_hands(connection, host, deadline)
                chain = [one.to_cryptography() for one in connection.get_peer_cert_chain() or ()]
        except (OSError, openssl.Error) as error:
            return Look(address=shown, problem=why_not(error))
        if not chain:
            return Look(address=shown, problem="it sent no certificate")
        leaf = facts(chain[0])
        distrust = seen.distrust or ("" if leaf.covers(host) else f"it is not for {host}")
        return Look(
            address=shown,
            certificate=leaf,
            chain=[one.subject.rfc4514_string() for one in chain[1:]],
            distrust=distrust,
            staple=_staple(seen.staple),
        )

    def _context(self, seen: "_Seen") -> Any:
        context = openssl.Context(openssl.TLS_CLIENT_METHOD)
        if self._ca_file is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(self._ca_file))
        context.set_verify(openssl.VERIFY_PEER, seen.verify)
        context.set_ocsp_client_callback(seen.keep_staple)
        return context


class _Seen:
    """What OpenSSL told during a handshake."""

    def __init__(self) -> None:
        self.distrust = ""
        self.staple = b""

    def verify(self, _connection: Any, _certificate: Any, error: int, depth: int, _ok: int) -> bool:
        """Go on whatever it is; the first thing that is wrong, from the root on, is kept."""
        if error and not self.distrust:
            where = "" if depth == 0 else f" (certificate {depth} of its chain)"
            self.distrust = f"{_UNTRUSTED.get(error, f'OpenSSL error {error}')}{where}"
        return True

    def keep_staple(self, _connection: Any, staple: bytes, _data: Any) -> bool:
        """Keep the OCSP answer that came with it."""
        self.staple = staple
        return True


def addresses_of(served: ServedName) -> list[tuple[str, int]]:
    """Give every address of the name.

    Raises:
        OSError: it has none.

    """
    if served.addresses:
        return [address_of(address, served.port) for address in served.addresses]
    found = socket.getaddrinfo(served.host, served.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(address[0]), served.port) for *_, address in found))


def shake_hands(connection: Any, host: str, deadline: float) -> None:
    """Shake hands in time.

    Raises:
        OSError, OpenSSL.SSL.Error: it did not come about.

    """
    if not _is_address(host):
        connection.set_tlsext_host_name(host.encode("idna"))
    connection.request_ocsp()
    connection.set_connect_state()
    while True:
        try:
            connection.do_handshake()
        except openssl.WantReadError:
            _wait(connection, deadline, select.POLLIN)
        except openssl.WantWriteError:
            _wait(connection, deadline, select.POLLOUT)
        else:
            return


def _wait(connection: Any, deadline: float, what: int) -> None:
    poll = select.poll()
    poll.register(connection.fileno(), what)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError(f"no handshake within {_SECONDS:.0f} s")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _staple(staple: bytes) -> Literal["none", "good", "revoked", "unknown"]:
    if not staple:
        return "none"
    try:
        answer = ocsp.load_der_ocsp_response(staple)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return "unknown"
        status = answer.certificate_status
    except ValueError:
        return "unknown"
    said: dict[Any, Literal["good", "revoked"]] = {
        ocsp.OCSPCertStatus.GOOD: "good",
        ocsp.OCSPCertStatus.REVOKED: "revoked",
    }
    return said.get(status, "unknown")


def why_not(error: Exception) -> str:
    """Say why a handshake did not come about, in OpenSSL's or the system's words."""
    if isinstance(error, openssl.SysCallError):
        return "it closed the connection in the handshake"
    if isinstance(error, openssl.Error):
        reasons = [str(part[2]) for part in (error.args[0] if error.args else ()) if len(part) > 2]  # noqa: PLR2004
        return f"TLS: {', '.join(reasons) or 'no handshake'}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
