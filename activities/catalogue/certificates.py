"""The certificates that a service is served with: where to look, and who may renew them (runbook 6.3)."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Literal

from pydantic import Field, field_validator

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key


def address_of(text: str, port: int) -> tuple[str, int]:
    """Read `IP`, `IP:PORT` or `[IPv6]:PORT`.

    Raises:
        ValueError: it is none of these.

    """
    host, separator, given = text.rpartition(":")
    if text.startswith("["):
        host, separator, given = text[1:].rpartition("]:")
        if not separator:
            host, given = text.strip("[]"), ""
    elif not separator or ":" in host:  # no port, or an IPv6 address without brackets
        host, given = text, ""
    ip_address(host)
    if given and not given.isdecimal():
        raise ValueError(f"{given!r} is no port")
    return host, int(given) if given else port


class ServedName(ServicePolicy):
    """A name that answers with a certificate."""

    host: Key = Field(min_length=1, max_length=253, description="What clients ask for, by SNI.")
    port: int = Field(default=443, ge=1, le=65535, description="Of TLS.")
    addresses: tuple[Key, ...] = Field(
        default=(), description="IP, IP:port or [IPv6]:port to look at; what DNS says otherwise."
    )
    secret: Key | None = Field(
        default=None, description="The TLS Secret that is served there, NAMESPACE/NAME; found by its names otherwise."
    )

    @field_validator("addresses")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                address_of(address, 443)
            except ValueError:
                raise ValueError(f"{address!r}: expected IP, IP:port or [IPv6]:port") from None
        return addresses

    def __str__(self) -> str:
        return self.host if self.port == _HTTPS else f"{self.host}:{self.port}"


_HTTPS = 443


class AcmePolicy(ServicePolicy):
    """Which Secrets runs renew themselves; the authority and its account are the settings' [acme]."""

    secrets: tuple[Key, ...] = Field(min_length=1, description="TLS Secrets, NAME or NAMESPACE/NAME.")
    challenge: Literal["http-01", "dns-01"] = Field(
        default="http-01", description="dns-01 is by Route 53; a wildcard takes it."
    )
    key: Literal["ecdsa-p256", "rsa-2048"] = Field(
        default="ecdsa-p256", description="Of the certificates that are ordered."
    )
    profile: Key | None = Field(default=None, description="What the authority calls the kind of certificate.")
    visible_within: timedelta = Field(
        default=timedelta(minutes=3), gt=timedelta(0), description="Until our own look finds the challenge."
    )
    validate_within: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="For the authority to see the challenge."
    )
    issue_within: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="For the authority to issue, once it has seen it."
    )


class IngressPolicy(ServicePolicy):
    """What serves certificates to the outside, and may have to be restarted to serve a new one (6.3 step 4)."""

    namespace: Key = Field(default="ingress-nginx", description="Of the ingress controller.")
    deployment: Key = Field(default="ingress-nginx", description="Its Deployment.")
    restart: Literal["ask", "auto"] = Field(
        default="ask", description="It serves others as well, whose long connections end with its pods."
    )
    ready_within: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0), description="For its new pods.")


class CertificatePolicy(ServicePolicy):
    """Certificates of a service (runbook 6.3)."""

    served: tuple[ServedName, ...] = ()
    namespaces: tuple[Key, ...] = Field(
        default=(), description="Where its TLS Secrets and cert-manager Certificates are; its own where none is named."
    )
    acme: AcmePolicy | None = None
    ingress: IngressPolicy | None = None
    looked_at_every: timedelta = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="How often the schedule starts it: what an authority wants renewed before then is renewed now.",
    )
    page_at: tuple[timedelta, ...] = Field(
        default=(timedelta(days=14), timedelta(days=7), timedelta(days=3)),
        min_length=1,
        description="What is left when people are paged of a certificate that is due and that no run has renewed.",
    )
    issued_within: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="By cert-manager, once it has been asked."
    )
    served_within: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="Until every address answers with a new one."
    )
    decision_timeout: timedelta = Field(
        default=timedelta(hours=4),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
