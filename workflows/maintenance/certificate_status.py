"""Which certificates a service has, who renews each, and where it is served (runbook 6.3 step 1).

They are seen from both sides: the TLS Secrets and cert-manager Certificates of the cluster, and what every address of
the names of the settings answers. What can't be looked at is told, and is not fine.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.catalogue.certificates import CertificatePolicy, ServedName
from activities.catalogue.service import Service
from activities.certificates.cert_manager import CertificatesRequest, CertManager, ManagedCertificate
from activities.certificates.facts import Certificate
from activities.certificates.orders import Acme, Window, WindowRequest
from activities.certificates.probe import ProbeRequest, Served, TlsProbe
from activities.certificates.secrets import SecretsRequest, TlsSecret, TlsSecrets
from workflows.maintenance.renewal_windows import Due, due
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_LOOK_AGAIN = timedelta(minutes=1)
"""A name that can't be looked at is looked at once more after this: a blip of our own network is none of its faults."""


class Target(BaseModel):
    """One certificate, and all that is known of it."""

    name: str = Field(description="Of its Secret, NAMESPACE/NAME; of a name that is served by something else.")
    secret: TlsSecret | None = None
    managed: ManagedCertificate | None = None
    owner: Literal["cert-manager", "acme", "nobody"] = "nobody"
    certificate: Certificate | None = None
    served: list[Served] = Field(default_factory=list)
    window: Window | None = None
    verdict: Due | None = Field(default=None, description="None where its certificate can't be read.")

    @property
    def is_due(self) -> bool:
        """Whether it is to be renewed now."""
        return self.verdict is not None and self.verdict.due

    @property
    def called(self) -> set[str]:
        """What a request may call it."""
        names = {self.name, *(one.host for one in self.served), *(one.name for one in self.served)}
        return names | ({self.secret.name} if self.secret else set())

    @property
    def refused(self) -> list[str]:
        """Addresses whose certificate clients refuse."""
        return [f"{one.name} at {look}" for one in self.served for look in one.looks if look.distrust]

    @property
    def hosts(self) -> str:
        """What people know it by."""
        known = [one.name for one in self.served] or (self.certificate.names if self.certificate else [])
        return f"{self.name} ({', '.join(known)})" if known and known != [self.name] else self.name


class Status(BaseModel):
    """All certificates of a service."""

    at: datetime
    targets: list[Target]
    unseen: list[str] = Field(description="What could not be looked at, and why.")


class CertificateStatus:
    """Looks at them."""

    def __init__(self, run: Runbook, service: Service, policy: CertificatePolicy) -> None:
        self.run = run
        self.policy = policy
        self.namespaces = list(policy.namespaces or (service.namespace,))
        self.home = service.namespace
        self.ours = {full(name, self.home) for name in policy.acme.secrets} if policy.acme else set[str]()

    async def look(self) -> Status:
        """Look at everything at once, and decide what is due."""
        secrets, managed, served = await asyncio.gather(
            self.run.attempt(
                "6.3/1",
                "TLS Secrets",
                TlsSecrets.list,
                SecretsRequest(namespaces=self.namespaces),
                policies.READ,
            ),
            self.run.attempt(
                "6.3/1",
                "cert-manager's Certificates",
                CertManager.list,
                CertificatesRequest(namespaces=self.namespaces),
                policies.READ,
            ),
            self._probe(self.policy.served),
        )
        unseen = [*_unseen(served)]
        if secrets is None:
            unseen.append("the TLS Secrets of the cluster")
        if managed is None:
            unseen.append("cert-manager's Certificates")
        targets = self._targets(secrets.items if secrets else [], managed.items if managed else [], served)
        unseen += [f"{one.name}: {one.secret.problem}" for one in targets if one.secret and one.secret.problem]
        if secrets is not None:
            there = {str(one) for one in secrets.items}
            unseen += [f"{name}: settings name it, and it is not there" for name in sorted(self.ours - there)]
            unseen += (
                [
                    f"{one}: its Secret is not there"
                    for one in managed.items
                    if f"{one.namespace}/{one.secret}" not in there
                ]
                if managed
                else []
            )
        at = secrets.at if secrets else max((one.at for one in served), default=workflow.now())
        await asyncio.gather(*(self._judge(target, at) for target in targets))
        return Status(at=at, targets=targets, unseen=unseen)

    async def _probe(self, names: Iterable[ServedName]) -> list[Served]:
        found = await asyncio.gather(*(self._look_at(name) for name in names))
        again = [name for name, seen in zip(names, found, strict=True) if seen.problems]
        if not again:
            return list(found)
        await workflow.sleep(_LOOK_AGAIN, summary="look again at what could not be looked at")
        second = {(one.host, one.port): one for one in await asyncio.gather(*map(self._look_at, again))}
        return [second.get((one.host, one.port), one) for one in found]

    async def _look_at(self, name: ServedName) -> Served:
        request = ProbeRequest(served=name)
        found = await self.run.attempt("6.3/1", f"What {name} serves", TlsProbe.probe, request, policies.READ)
        return found or Served(host=name.host, port=name.port, at=workflow.now(), problem="our own look failed")

    def _targets(
        self, secrets: list[TlsSecret], managed: list[ManagedCertificate], served: list[Served]
    ) -> list[Target]:
        by_secret = {f"{one.namespace}/{one.secret}": one for one in managed}
        targets = {str(one): self._of_secret(one, by_secret.get(str(one))) for one in secrets}
        for seen, name in zip(served, self.policy.served, strict=True):
            home = full(name.secret, self.home) if name.secret else _home(seen, targets.values())
            if home and home in targets:
                targets[home].served.append(seen)
            else:
                targets[seen.name] = Target(name=seen.name, certificate=_first_to_end(seen), served=[seen])
        return list(targets.values())

    def _of_secret(self, secret: TlsSecret, managed: ManagedCertificate | None) -> Target:
        known = managed is not None and (secret.managed_by in {None, managed.name})
        owner: Literal["cert-manager", "acme", "nobody"] = "nobody"
        if known:
            owner = "cert-manager"
        elif str(secret) in self.ours:
            owner = "acme"
        return Target(
            name=str(secret),
            secret=secret,
            managed=managed if known else None,
            owner=owner,
            certificate=secret.certificate,
        )

    async def _judge(self, target: Target, at: datetime) -> None:
        certificate = target.certificate
        if certificate is None:
            return
        if target.managed is not None:
            target.window = target.managed.window
        elif target.owner == "acme":
            # Where it doesn't answer the rule by what is left counts, as RFC 9773 has it (4.3.3).
            target.window = await self.run.attempt(
                "6.3/1",
                f"Renewal window of {target.name}",
                Acme.window,
                WindowRequest(certificate=certificate),
                policies.READ,
            )
        revoked = any(
            look.staple == "revoked" and look.certificate == certificate for one in target.served for look in one.looks
        )
        every = self.policy.looked_at_every
        target.verdict = due(certificate, at, target.window, every=every, revoked=revoked)


def full(name: str, namespace: str) -> str:
    """Give a Secret's name with its namespace."""
    return name if "/" in name else f"{namespace}/{name}"


def _home(seen: Served, targets: Iterable[Target]) -> str | None:
    """Find the Secret that is served there: the one that is served, else the newest that would do instead.

    What is served and younger than that comes from elsewhere: another proxy's own certificate, for example.
    """
    held = {one.name: one.certificate for one in targets if one.secret and one.certificate}
    served = [look.certificate for look in seen.looks if look.certificate]
    same = [name for name, certificate in held.items() if certificate in served]
    if same:
        return same[0]
    fitting = {
        name: certificate
        for name, certificate in held.items()
        if certificate.covers(seen.host) and all(one.not_before < certificate.not_before for one in served)
    }
    return max(fitting, key=lambda name: fitting[name].not_after, default=None)


def _first_to_end(seen: Served) -> Certificate | None:
    found = [look.certificate for look in seen.looks if look.certificate]
    return min(found, key=lambda one: one.not_after, default=None)


def _unseen(served: list[Served]) -> Iterable[str]:
    for one in served:
        for problem in one.problems:
            yield f"{one.name}: {problem}"
