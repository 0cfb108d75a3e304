"""How one certificate is renewed: by cert-manager, or by an order of ours (runbook 6.3 step 2).

An order that the authority refuses is not made again by itself: authorities count, and say in the type of their problem
whether it would help. What became of each renewal is an answer, for people to decide about.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.catalogue.certificates import AcmePolicy, CertificatePolicy
from activities.certificates.account import Problem
from activities.certificates.cert_manager import AwaitIssuance, CertManager, TriggerIssuance
from activities.certificates.facts import Certificate
from activities.certificates.orders import (
    Acme,
    ChallengeKind,
    IssueCertificate,
    OnOrder,
    OrderCertificate,
    SeeOrder,
    ValidateOrder,
)
from activities.certificates.secrets import (
    HoldForRenewal,
    InstallCertificate,
    LetRenewalGo,
    SecretName,
    TlsSecret,
    TlsSecrets,
)
from workflows.maintenance.certificate_status import Target
from workflows.platform import policies
from workflows.platform.lease import finally_do
from workflows.platform.resets import before_reset
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason

_SPARE = timedelta(minutes=15)
"""How much longer than an order may take its Secret is held: for steps that are tried again."""

_LASTING = {"Misconfigured", "Refused", "NotFound", "InvalidInput"}


class Renewal(BaseModel):
    """What became of one."""

    name: str
    certificate: Certificate | None = Field(default=None, description="What is in the Secret now, where it is new.")
    planned: bool = False
    left: str = Field(default="", description="Why it was left alone: another run, or a person, has it.")
    failed: str = Field(default="", description="Why it is not renewed.")
    permanent: bool = Field(default=False, description="It would fail again until somebody changes something.")
    not_before: datetime | None = Field(default=None, description="When the authority may be asked again.")


class Renewals:
    """Renews certificates of one run."""

    def __init__(self, run: Runbook, policy: CertificatePolicy) -> None:
        self.run = run
        self.policy = policy

    async def renew(self, target: Target) -> Renewal:
        """Renew one; what is wrong is part of the answer."""
        try:
            if target.managed is not None:
                return await self._by_cert_manager(target)
            assert self.policy.acme is not None, "it is ours by this policy"
            return await _Order(self.run, target, self.policy.acme).renew()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if theirs := await self._theirs(target):
                return Renewal(name=target.name, left=f"somebody has replaced it meanwhile: {theirs}")
            permanent = isinstance(error.cause, ApplicationError) and error.cause.type in _LASTING
            return Renewal(name=target.name, failed=reason(error), permanent=permanent)

    async def let_go(self, targets: list[Target]) -> dict[str, Renewal]:
        """Let go what the run had held before it was reset, and needs no more; gives what it had renewed."""
        known = {(one.secret.namespace, one.secret.name): one for one in targets if one.secret is not None}
        renewed: dict[str, Renewal] = {}
        for hold in sorted(step for step in self.run.begun_before if step == "hold" or step.startswith("hold-")):
            number = hold.removeprefix("hold")
            held = await before_reset(self.run, "6.3/2", self.run.first_effect(hold))
            if held is None:
                continue
            secret = held.asked(HoldForRenewal)
            target = known.get((secret.namespace, secret.name))
            if target is not None and target.is_due:
                continue
            released = f"release{number}" in self.run.done_before
            installed = target is not None and f"install{number}" in self.run.done_before
            if target is not None and installed and (not released or self._tells_all()):
                renewed[target.name] = Renewal(name=target.name, certificate=target.certificate)
            if released:
                continue
            at = {"namespace": secret.namespace, "name": secret.name}
            showing = await before_reset(self.run, "6.3/2", self.run.first_effect(f"show{number}"))
            if showing is not None:
                clean = showing.asked(OnOrder).model_copy(update={"effect": self.run.first_effect(f"clean{number}")})
                await self.run.attempt("6.3/2", "Take away what was shown", Acme.clean, clean, policies.WAIT)
            release = LetRenewalGo(**at, not_before=None, effect=self.run.first_effect(f"release{number}"))
            title = f"Let other runs to {secret.namespace}/{secret.name}"
            await self.run.attempt("6.3/2", title, TlsSecrets.release, release, policies.RELEASE)
        return renewed | await self._issued_before(targets)

    def _tells_all(self) -> bool:
        """Whether a run that was reset tells of all that it had renewed: of what it had let go, and cert-manager's."""
        return workflow.patched("renewed-before-a-reset")

    async def _issued_before(self, targets: list[Target]) -> dict[str, Renewal]:
        """Give what cert-manager renewed for this run before it was reset."""
        triggered = sorted(step for step in self.run.done_before if step == "trigger" or step.startswith("trigger-"))
        if not triggered or not self._tells_all():
            return {}
        by = {(one.managed.namespace, one.managed.name): one for one in targets if one.managed and not one.is_due}
        renewed: dict[str, Renewal] = {}
        for step in triggered:
            before = await before_reset(self.run, "6.3/2", self.run.first_effect(step))
            asked = before.asked(TriggerIssuance) if before is not None else None
            target = by.get((asked.namespace, asked.name)) if asked is not None else None
            if target is not None:
                renewed[target.name] = Renewal(name=target.name, certificate=target.certificate)
        return renewed

    async def _theirs(self, target: Target) -> Certificate | None:
        """Give what a person or another run has put in, while ours went wrong: for example because it was faster."""
        if target.secret is None or self.run.dry_run:
            return None
        now = await self.run.attempt("6.3/2", f"Read {target.name} again", TlsSecrets.read, _at(target), policies.READ)
        return now.certificate if now is not None and now.certificate != target.certificate else None

    async def _by_cert_manager(self, target: Target) -> Renewal:
        managed = target.managed
        assert managed is not None
        at = {"namespace": managed.namespace, "name": managed.name}
        trigger = TriggerIssuance(**at, revision=managed.revision, effect=self.run.effect("trigger"))
        await self.run.step(
            "6.3/2", f"Have cert-manager renew {managed}", CertManager.trigger, trigger, policies.EFFECT
        )
        if self.run.dry_run:
            return Renewal(name=target.name, planned=True)
        within = self.policy.issued_within
        issuance = await self.run.step(
            "6.3/2",
            f"Wait for {target.name}",
            CertManager.await_issuance,
            AwaitIssuance(**at, revision=managed.revision, within=within),
            policies.WAIT.lasting(within),
        )
        if not issuance.issued:
            return Renewal(name=target.name, failed=f"cert-manager: {issuance.reason}")
        now = await _read(self.run, target)
        if now.certificate is None or now.certificate == target.certificate:
            return Renewal(name=target.name, failed="cert-manager says it is issued, and its Secret has the old one")
        return Renewal(name=target.name, certificate=now.certificate)


def _at(target: Target) -> SecretName:
    assert target.secret is not None
    return SecretName(namespace=target.secret.namespace, name=target.secret.name)


async def _read(run: Runbook, target: Target) -> TlsSecret:
    return await run.step("6.3/2", f"Read {target.name} again", TlsSecrets.read, _at(target), policies.READ)


class _Order:
    """One order for one Secret, which is held meanwhile."""

    def __init__(self, run: Runbook, target: Target, acme: AcmePolicy) -> None:
        assert target.secret is not None
        self.run = run
        self.target = target
        self.acme = acme
        self.at = {"namespace": target.secret.namespace, "name": target.secret.name}
        self.challenge: ChallengeKind = acme.challenge
        self.url = ""
        self.not_before: datetime | None = None

    async def renew(self) -> Renewal:
        name = self.target.name
        old = self.target.certificate
        if old is None:
            return Renewal(name=name, failed="its certificate can't be read", permanent=True)
        if why := self._impossible(old):
            return Renewal(name=name, failed=why, permanent=True)
        assert self.target.secret is not None
        asked = self.target.secret.not_before
        if asked is not None and asked > workflow.now():
            told = f"the authority has asked an earlier run not to come before {asked:%Y-%m-%d %H:%M:%S %Z}"
            return Renewal(name=name, failed=told, not_before=asked)
        longest = self.acme.visible_within + self.acme.validate_within + self.acme.issue_within + _SPARE
        hold = HoldForRenewal(**self.at, until=workflow.now() + longest, effect=self.run.effect("hold"))
        try:
            await self.run.step("6.3/2", f"Keep other runs from {name}", TlsSecrets.hold, hold, policies.EFFECT)
        except ActivityError as error:
            if _type(error) == "Refused":
                return Renewal(name=name, left=reason(error))
            raise
        return await finally_do(self._ordered(old), self._leave)

    def _impossible(self, old: Certificate) -> str:
        wildcards = [name for name in old.names if name.startswith("*.")]
        if wildcards and self.challenge != "dns-01":
            return f"{', '.join(wildcards)}: a wildcard takes the challenge dns-01 (certificates.acme.challenge)"
        if old.others:
            return f"{', '.join(old.others)}: only DNS names are ordered"
        return "" if old.names else "it is for no name"

    async def _ordered(self, old: Certificate) -> Renewal:
        name, run = self.target.name, self.run
        now = await _read(run, self.target)  # what was seen may be hours ago
        if now.certificate != old:
            told = str(now.certificate or now.problem)
            return Renewal(name=name, left=f"somebody has replaced it meanwhile: {told}")
        order = OrderCertificate(
            **self.at,
            names=old.names,
            key=self.acme.key,
            profile=self.acme.profile,
            replaces=old.renewal_id if self.target.window and self.target.window.offered else "",
            effect=run.effect("order"),
        )
        ordered = await run.step("6.3/2", f"Order {', '.join(old.names)}", Acme.order, order, policies.ORDER)
        if ordered.problems:
            return self._refused(ordered.problems)
        if run.dry_run:
            return Renewal(name=name, planned=True)
        self.url = ordered.order
        return await self._proven(old)

    async def _proven(self, old: Certificate) -> Renewal:
        """Show that the names are ours, and have it issued."""
        name, run = self.target.name, self.run
        await run.step("6.3/2", "Show that the names are ours", Acme.show, self._on("show"), policies.WAIT)
        if hidden := await self._hidden():
            return Renewal(name=name, failed=f"the challenge can't be seen, so it was not tried: {hidden}")
        validated = await run.step(
            "6.3/2",
            "The authority looks",
            Acme.validate,
            ValidateOrder(**self._on("validate").model_dump(), within=self.acme.validate_within),
            policies.WAIT.lasting(self.acme.validate_within),
        )
        if not validated.valid:
            return self._refused(validated.problems)
        issued = await run.step(
            "6.3/2",
            "Have it issued",
            Acme.issue,
            IssueCertificate(**self._on("issue").model_dump(), names=old.names, within=self.acme.issue_within),
            policies.WAIT.lasting(self.acme.issue_within),
        )
        if issued.certificate is None:
            return self._refused(issued.problems)
        return await self._install(old, issued.certificate)

    async def _hidden(self) -> str:
        seen = await self.run.step(
            "6.3/2",
            "Look whether they can be seen",
            Acme.seen,
            SeeOrder(order=self.url, challenge=self.challenge, within=self.acme.visible_within),
            policies.READ.lasting(self.acme.visible_within),
        )
        return "; ".join(seen.hidden)

    async def _install(self, old: Certificate, new: Certificate) -> Renewal:
        install = InstallCertificate(
            **self.at, fingerprint=new.fingerprint, instead_of=old.fingerprint, effect=self.run.effect("install")
        )
        await self.run.step("6.3/2", f"Put it into {self.target.name}", TlsSecrets.install, install, policies.EFFECT)
        return Renewal(name=self.target.name, certificate=new)

    def _refused(self, problems: list[Problem]) -> Renewal:
        self.not_before = max((one.not_before for one in problems if one.not_before), default=None)
        return Renewal(
            name=self.target.name,
            failed="; ".join(str(problem) for problem in problems),
            permanent=any(problem.permanent for problem in problems),
            not_before=self.not_before,
        )

    def _on(self, step: str) -> OnOrder:
        return OnOrder(**self.at, order=self.url, challenge=self.challenge, effect=self.run.effect(step))

    async def _leave(self) -> None:
        """Take away what was shown, forget the key that was not used, and let other runs in."""
        if self.url:
            await self.run.attempt("6.3/2", "Take away what was shown", Acme.clean, self._on("clean"), policies.WAIT)
        release = LetRenewalGo(**self.at, not_before=self.not_before, effect=self.run.effect("release"))
        await self.run.attempt(
            "6.3/2", f"Let other runs to {self.target.name}", TlsSecrets.release, release, policies.RELEASE
        )


def _type(error: ActivityError) -> str:
    return (error.cause.type or "") if isinstance(error.cause, ApplicationError) else ""
