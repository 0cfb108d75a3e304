"""The world of certificates: Secrets, cert-manager, an authority, and addresses that serve; 29 days are left."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.certificates import AcmePolicy, CertificatePolicy, IngressPolicy, ServedName
from activities.certificates.account import Problem
from activities.certificates.cert_manager import (
    AwaitIssuance,
    CertificatesRequest,
    Issuance,
    ManagedCertificate,
    ManagedCertificates,
    TriggerIssuance,
)
from activities.certificates.facts import Certificate
from activities.certificates.orders import (
    IssueCertificate,
    Issued,
    OnOrder,
    OrderCertificate,
    Ordered,
    Seen,
    SeeOrder,
    Validated,
    ValidateOrder,
    Window,
    WindowRequest,
)
from activities.certificates.probe import AwaitServed, Look, ProbeRequest, Served
from activities.certificates.secrets import (
    HoldForRenewal,
    InstallCertificate,
    LetRenewalGo,
    SecretName,
    SecretsRequest,
    TlsSecret,
    TlsSecretList,
)
from activities.common.effects import Change
from activities.kubernetes.cluster import RestartRollout
from tests.workflows.worlds.world import World, instead

NOON = datetime(2026, 2, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "api.tensafe.test"
SECRET = "tensafe/web"


def certificate(
    name: str = "old", *, left: timedelta = 29 * DAY, lifetime: timedelta = 90 * DAY, names: tuple[str, ...] = (HOST,)
) -> Certificate:
    return Certificate(
        fingerprint=(name.encode().hex() + "0" * 64)[:64],
        serial="1",
        subject=f"CN={names[0]}",
        issuer="CN=CA",
        names=list(names),
        not_before=NOON + left - lifetime,
        not_after=NOON + left,
        renewal_id=f"{name}.1",
    )


def refused(kind: str, *, permanent: bool = False, not_before: datetime | None = None) -> Problem:
    return Problem(type=kind, detail="says the authority", identifier=HOST, permanent=permanent, not_before=not_before)


class Certified(World):
    """One Secret that ACME renews, served at two addresses, unless the test makes it otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, Certificate | None] = {SECRET: certificate()}
        self.problems: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.not_before: dict[str, datetime] = {}
        self.managed: list[ManagedCertificate] = []
        self.windows: dict[str, Window] = {}
        self.serves: dict[str, dict[str, Certificate | None]] = {HOST: {"a": certificate(), "b": certificate()}}
        self.unresolved: set[str] = set()
        self.stuck: set[str] = set()
        """Addresses that go on with the old one until the ingress is restarted."""
        self.never: set[str] = set()
        """Addresses that go on with it for good."""
        self.refusals: list[list[Problem]] = []
        """What the authority says of the next orders."""
        self.invalid: list[list[Problem]] = []
        self.hidden: list[str] = []
        self.replaced_by: Certificate | None = None
        """What a person puts into the Secret while we wait for the authority."""
        self._said: dict[str, list[Problem]] = {}
        self.key_is_gone = False
        self.unissued = ""
        self.policy(acme=AcmePolicy(secrets=("web",)), ingress=IngressPolicy())

    def policy(self, **fields: Any) -> None:
        known = {"served": (ServedName(host=HOST),), **fields}
        policy = CertificatePolicy(**known)
        self.service = self.service.model_copy(update={"certificates": policy})

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._looks(), *self._orders(), *self._changes(), *self._cert_manager())

    @property
    def orders(self) -> int:
        return len(self.done("acme.order"))

    def put(self, name: str, new: Certificate) -> None:
        """Put a certificate into a Secret; addresses that see it by themselves serve it."""
        self.secrets[name] = new
        for at in self.serves.values():
            for address in at:
                if address not in self.stuck | self.never:
                    at[address] = new

    def _says(self, key: str, next_: list[list[Problem]]) -> list[Problem]:
        """Say the next thing; to a second attempt the same again."""
        if key not in self._said:
            self._said[key] = next_.pop(0) if next_ else []
        return self._said[key]

    def _look(self, name: str) -> TlsSecret:
        namespace, _, own = name.partition("/")
        return TlsSecret(
            namespace=namespace,
            name=own,
            certificate=self.secrets[name],
            problem=self.problems.get(name, ""),
            held_by=self.held.get(name),
            not_before=self.not_before.get(name),
        )

    def _served(self, host: str, port: int) -> Served:
        if host in self.unresolved:
            return Served(host=host, port=port, at=NOON, problem="the name does not resolve")
        looks = [
            Look(address=address, certificate=found, problem="" if found else "refused")
            for address, found in self.serves[host].items()
        ]
        return Served(host=host, port=port, at=NOON, looks=looks)

    def _looks(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="certificates.probe")
        def probe(request: ProbeRequest) -> Served:
            world._up("certificates.probe")
            return world._served(request.served.host, request.served.port)

        @activity.defn(name="certificates.await_served")
        def await_served(request: AwaitServed) -> Served:
            world._up("certificates.await_served")
            return world._served(request.served.host, request.served.port)

        @activity.defn(name="tls_secrets.list")
        def list_secrets(request: SecretsRequest) -> TlsSecretList:
            world._up("tls_secrets.list")
            return TlsSecretList(at=NOON, items=[world._look(name) for name in world.secrets])

        @activity.defn(name="tls_secrets.read")
        def read(request: SecretName) -> TlsSecret:
            world._up("tls_secrets.read")
            return world._look(str(request))

        @activity.defn(name="acme.window")
        def window(request: WindowRequest) -> Window:
            world._up("acme.window")
            return world.windows.get(request.certificate.fingerprint, Window(offered=False))

        @activity.defn(name="acme.seen")
        def seen(request: SeeOrder) -> Seen:
            return Seen(hidden=world.hidden)

        return [probe, await_served, list_secrets, read, window, seen]

    def _orders(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="acme.order")
        def order(request: OrderCertificate) -> Ordered:
            world._done("acme.order", request)
            problems = world._says(request.effect.key, world.refusals)
            url = "" if problems or request.effect.dry_run else f"https://ca.test/{world.orders}"
            return Ordered(target=request.name, after="ordered", applied=bool(url), order=url, problems=problems)

        @activity.defn(name="acme.show")
        def show(request: OnOrder) -> Change:
            return Change(target=request.name, after="shown", applied=world._done("acme.show", request))

        @activity.defn(name="acme.validate")
        def validate(request: ValidateOrder) -> Validated:
            world._done("acme.validate", request)
            problems = world._says(request.effect.key, world.invalid)
            return Validated(target="o", after="looked at", applied=True, valid=not problems, problems=problems)

        @activity.defn(name="acme.issue")
        def issue(request: IssueCertificate) -> Issued:
            world._done("acme.issue", request)
            if world.replaced_by is not None:
                world.put(f"{request.namespace}/{request.name}", world.replaced_by)
            if world.key_is_gone:
                raise ApplicationError("the key is gone: order again", type="NotFound", non_retryable=True)
            new = certificate(f"new{world.orders}", left=90 * DAY, names=tuple(request.names))
            return Issued(target="o", after="issued", applied=True, certificate=new)

        @activity.defn(name="acme.clean")
        def clean(request: OnOrder) -> Change:
            return Change(target=request.name, after="removed", applied=world._done("acme.clean", request))

        return [order, show, validate, issue, clean]

    def _changes(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="tls_secrets.hold")
        def hold(request: HoldForRenewal) -> Change:
            run = request.effect.workflow_id
            if world.held.get(str(request), run) != run:
                raise ApplicationError(
                    f"is being renewed by {world.held[str(request)]}", type="Refused", non_retryable=True
                )
            if applied := world._done("tls_secrets.hold", request):
                world.held[str(request)] = run
            return Change(target=request.name, after="held", applied=applied)

        @activity.defn(name="tls_secrets.release")
        def release(request: LetRenewalGo) -> Change:
            applied = world._done("tls_secrets.release", request)
            if applied and world.held.get(str(request)) == request.effect.workflow_id:
                del world.held[str(request)]
                if request.not_before is not None:
                    world.not_before[str(request)] = request.not_before
            return Change(target=request.name, after="free", applied=applied)

        @activity.defn(name="tls_secrets.install")
        def install(request: InstallCertificate) -> Change:
            now = world.secrets[str(request)]
            if now is None or now.fingerprint != request.instead_of:
                raise ApplicationError("has another certificate by now", type="Refused", non_retryable=True)
            if applied := world._done("tls_secrets.install", request):
                names = tuple(now.names)
                world.put(str(request), certificate(f"new{world.orders}", left=90 * DAY, names=names))
            return Change(target=request.name, after="installed", applied=applied)

        @activity.defn(name="kubernetes.restart_rollout")
        def restart(request: RestartRollout) -> Change:
            if applied := world._done("kubernetes.restart_rollout", request):
                world.stuck.clear()
                for name, found in world.secrets.items():
                    if found is not None:
                        world.put(name, found)
            return Change(target=request.deployment, after="restarting", applied=applied)

        return [hold, release, install, restart]

    def _cert_manager(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="cert_manager.list")
        def list_certificates(request: CertificatesRequest) -> ManagedCertificates:
            world._up("cert_manager.list")
            return ManagedCertificates(items=world.managed)

        @activity.defn(name="cert_manager.trigger")
        def trigger(request: TriggerIssuance) -> Change:
            return Change(target=request.name, after="asked", applied=world._done("cert_manager.trigger", request))

        @activity.defn(name="cert_manager.await_issuance")
        def await_issuance(request: AwaitIssuance) -> Issuance:
            if world.unissued:
                return Issuance(issued=False, revision=request.revision, reason=world.unissued)
            (managed,) = [one for one in world.managed if one.name == request.name]
            world.put(f"{managed.namespace}/{managed.secret}", certificate("managed", left=90 * DAY))
            return Issuance(issued=True, revision=request.revision + 1)

        return [list_certificates, trigger, await_issuance]


def by_cert_manager(world: Certified) -> None:
    """Make cert-manager look after the Secret."""
    world.policy()
    world.managed = [
        ManagedCertificate(
            namespace="tensafe",
            name="web-cert",
            secret="web",
            names=[HOST],
            issuer="ClusterIssuer/ca",
            ready=True,
            issuing=False,
            revision=3,
        )
    ]
