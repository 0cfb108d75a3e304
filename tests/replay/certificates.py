"""The renewals of certificates whose histories are kept (runbook 6.3)."""

from activities.catalogue.certificates import AcmePolicy, IngressPolicy, ServedName
from tests.replay.cases import Case, Handle, waiting
from tests.workflows.steering import cancel
from tests.workflows.worlds.certified import DAY, HOST, SECRET, Certified, by_cert_manager, certificate, refused
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest
from workflows.platform.approval import Decision

SAM = {"who": "sam", "role": "security"}


async def _decides(handle: Handle, question: str, choice: str) -> None:
    await waiting(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**SAM, question=question, choice=choice))


async def tries_again_and_restarts(handle: Handle, world: Certified) -> None:
    await _decides(handle, "renewal-1", "retry")
    await _decides(handle, "ingress", "restart")


async def cancels(handle: Handle, world: Certified) -> None:
    await waiting(handle, "decide renewal-1")
    await cancel(handle)


def troubled(world: Certified) -> None:
    world.put(SECRET, certificate(left=6 * DAY))
    world.invalid = [[refused("connection")]]
    world.stuck = {"b"}


def nobodys(world: Certified) -> None:
    world.put(SECRET, certificate(left=6 * DAY))
    world.policy(served=(ServedName(host=HOST), ServedName(host="gone.tensafe.test")))
    world.unresolved = {"gone.tensafe.test"}


def young(world: Certified) -> None:
    world.put(SECRET, certificate(left=80 * DAY))


def replaced(world: Certified) -> None:
    world.replaced_by = certificate("bought", left=365 * DAY, lifetime=365 * DAY)


def managed(world: Certified) -> None:
    by_cert_manager(world)
    world.policy(ingress=IngressPolicy(restart="auto"))
    world.stuck = {"b"}


def wild(world: Certified) -> None:
    world.put(SECRET, certificate(names=(HOST, "*.tensafe.test")))
    world.policy(acme=AcmePolicy(secrets=("web",), challenge="dns-01"))


REQUEST = CertificateRenewalRequest()
CASES: dict[str, Case] = {
    "certificate_renewal-nothing-due": Case(REQUEST, prepare=young, world=Certified),
    "certificate_renewal-ordered": Case(REQUEST, prepare=wild, world=Certified),
    "certificate_renewal-troubled": Case(REQUEST, tries_again_and_restarts, troubled, Certified),
    "certificate_renewal-by-cert-manager": Case(REQUEST, prepare=managed, world=Certified),
    "certificate_renewal-replaced": Case(REQUEST, prepare=replaced, world=Certified),
    "certificate_renewal-nobodys": Case(REQUEST, prepare=nobodys, world=Certified),
    "certificate_renewal-cancelled": Case(REQUEST, cancels, troubled, Certified, cancelled=True),
    "certificate_renewal-planned": Case(CertificateRenewalRequest(dry_run=True), world=Certified),
}
