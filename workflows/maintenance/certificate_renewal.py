"""Certificate renewal (runbook 6.3): what is due is renewed, and what is served is looked at afterwards."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field, model_validator
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.certificates import CertificatePolicy
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput
from activities.common.text import Key
from workflows.maintenance.certificate_status import CertificateStatus, Status, Target
from workflows.maintenance.certificate_warnings import CertificateWarnings
from workflows.maintenance.renewal_windows import Due
from workflows.maintenance.renewals import Renewal, Renewals
from workflows.maintenance.served_everywhere import Expected, ServedEverywhere, Stale
from workflows.platform.approval import Question
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_ROUNDS = 5
"""How often a person may have it tried again in one run: authorities count failures by the hour."""

_SHORTEST_QUESTION = timedelta(minutes=15)
_RETRY, _LEAVE = "retry", "leave"


class CertificateRenewalRequest(ServiceRequest):
    """Look at a service's certificates, and renew those that are due."""

    only: list[Key] = Field(
        default_factory=list,
        max_length=100,
        description="Look at these alone: hosts, or TLS Secrets as NAME or NAMESPACE/NAME.",
    )
    now: bool = Field(default=False, description="Renew what `only` names though it is not due yet.")

    @model_validator(mode="after")
    def _now_names_them(self) -> "CertificateRenewalRequest":
        if self.now and not self.only:
            raise ValueError("now: name in `only` what is to be renewed at once")
        return self


class CertificateRenewalResult(BaseModel):
    """What became of it."""

    service: str
    looked_at: list[str] = Field(default_factory=list, description="Certificates, and what is left of each.")
    unseen: list[str] = Field(default_factory=list, description="What could not be looked at, and why.")
    renewed: list[str] = Field(default_factory=list, description="And what they have now.")
    failed: list[str] = Field(default_factory=list, description="Due and not renewed, and why.")
    left: list[str] = Field(default_factory=list, description="What another run, or a person, has renewed.")
    not_served: list[str] = Field(default_factory=list, description="Addresses that still serve something else.")
    refused: list[str] = Field(default_factory=list, description="Addresses whose certificate clients refuse.")
    restarted: bool = Field(default=False, description="The ingress was restarted.")
    paged: list[str] = Field(default_factory=list)


@workflow.defn
class CertificateRenewal(Runbook):
    """Look, renew what is due, verify what is served, restart the ingress where it serves an old one, warn."""

    SECTION = "6.3"

    @workflow.run
    async def run(self, request: CertificateRenewalRequest) -> CertificateRenewalResult:
        """Follow 6.3.

        Raises:
            InvalidInput: the service is not in the catalogue, or settings name no certificates of it; `only` names
                something that it does not have. Nothing has been changed then.

        """
        service = await self.begin(request, title="Certificate renewal", service=request.service, severity="P3")
        policy = service.certificates
        if policy is None:
            raise InvalidInput(
                f"service: settings name no certificates of {service.name} (services.{service.name}.certificates)"
            )
        self.title = f"Certificates of {service.name}"
        try:
            return await self._renew(request, service, policy)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _renew(
        self, request: CertificateRenewalRequest, service: Service, policy: CertificatePolicy
    ) -> CertificateRenewalResult:
        desk = Desk(self, service, "P3", self.title, "CERT")
        warnings = CertificateWarnings(self, desk, policy)
        result = CertificateRenewalResult(service=service.name)

        self.phase("Certificate status")
        status = await CertificateStatus(self, service, policy).look()
        looked = workflow.now()
        targets = _wanted(request, status)
        result.unseen = [] if request.only else status.unseen
        for target in targets:
            if request.now and target.verdict is not None:
                target.verdict = Due(due=True, because=f"asked for ({target.verdict})")
            told = f"{target.hosts}: {target.verdict or 'its certificate could not be read'}"
            self.say("decision", told, section="6.3/1")
            result.looked_at.append(told)
        for unseen in result.unseen:
            self.say("problem", f"could not look: {unseen}", section="6.3/1")

        self.phase("Renew")
        before = await Renewals(self, policy).let_go(targets)
        due = [one for one in targets if one.is_due]
        renewals = before | await self._renewed(desk, warnings, policy, due, status.at)

        self.phase("Verify")
        everywhere = ServedEverywhere(self, desk, policy)
        stale = await everywhere.verify(_expected(targets, renewals))

        self.phase("Warn")
        result.restarted = everywhere.restarted
        at = status.at + (workflow.now() - looked)  # people may have taken hours
        await self._warn(warnings, result, targets=targets, renewals=renewals, stale=stale, at=at)
        await self._tell(desk, result)
        await self.settle()
        self.finish(self._outcome(result, renewals))
        return result

    # -- renewing ----------------------------------------------------------------------------------------

    async def _renewed(
        self, desk: Desk, warnings: CertificateWarnings, policy: CertificatePolicy, due: list[Target], at: datetime
    ) -> dict[str, Renewal]:
        """Renew one after the other; what fails is tried again on a person's word alone."""
        work = Renewals(self, policy)
        ours = {one.name: one for one in due if one.owner != "nobody"}
        done: dict[str, Renewal] = {}
        for number in range(1, _ROUNDS + 1):
            for name in [name for name in ours if name not in done or _may_be_tried(done[name])]:
                done[name] = await work.renew(ours[name])
                if why := done[name].failed or done[name].left:
                    self.say("problem" if done[name].failed else "decision", f"{name}: {why}", section="6.3/2")
            failed = [one for one in done.values() if one.failed]
            if not failed or self.dry_run or number == _ROUNDS or self._too_long(failed, policy):
                break
            urgent = min(one.certificate.left(at) for one in ours.values() if one.certificate)
            question = _question(number, failed, min(policy.decision_timeout, max(urgent / 8, _SHORTEST_QUESTION)))
            self.background(desk.ask(question))

            async def escalate(why: str, number: int = number, failed: list[Renewal] = failed) -> None:
                # Nobody is got out of bed for a certificate that is good for weeks.
                certificates = [ours[one.name].certificate for one in failed]
                if any(one and warnings.urgent(one, at) for one in certificates):
                    await desk.escalate(why)
                else:
                    await desk.tell(f"reminder-{number}", why)

            answer = await self.ask(question, escalate=escalate)
            if answer.choice != _RETRY:
                break
            await self._not_before(failed)
        return done

    def _too_long(self, failed: list[Renewal], policy: CertificatePolicy) -> bool:
        """Tell whether the authority wants none of them before the next look: that one is not to be kept away."""
        waits = [one.not_before for one in failed if one.not_before]
        return len(waits) == len(failed) and min(waits) > workflow.now() + policy.looked_at_every

    async def _not_before(self, failed: list[Renewal]) -> None:
        """Wait as long as the authority has asked for, where that is before the next look."""
        waits = [one.not_before for one in failed if one.not_before]
        until = min(waits, default=None) if len(waits) == len(failed) else None
        if until is not None and until > workflow.now():
            self.say("decision", f"The authority asks not to come before {until:%Y-%m-%d %H:%M:%S %Z}: waiting")
            await workflow.sleep(until - workflow.now(), summary="the authority's Retry-After")

    # -- afterwards --------------------------------------------------------------------------------------

    async def _warn(
        self,
        warnings: CertificateWarnings,
        result: CertificateRenewalResult,
        *,
        targets: list[Target],
        renewals: dict[str, Renewal],
        stale: list[Stale],
        at: datetime,
    ) -> None:
        """Page for what ends soon, and take pages back for what doesn't any more."""
        for target in targets:
            renewal = renewals.get(target.name)
            if renewal is not None and renewal.certificate is not None:
                result.renewed.append(f"{target.hosts}: {renewal.certificate}")
                if target.certificate and not any(one.target.name == target.name for one in stale):
                    await warnings.over(target.certificate, at)
                continue
            result.refused += target.refused
            if renewal is not None and renewal.left:
                result.left.append(f"{target.name}: {renewal.left}")
            elif renewal is None or renewal.failed:
                await self._not_renewed(warnings, result, target, renewal, at=at)
        for one in stale:
            result.not_served.append(str(one))
            if one.look.certificate is not None:
                await warnings.ends(one.look.certificate, at, f"{one.name} at {one.look.address} serves an old one")
        for problem in (*result.not_served, *result.refused):
            self.say("problem", problem, section="6.3/3")
        for unseen in result.unseen:
            await warnings.unseen(unseen)
        result.paged = warnings.told

    async def _not_renewed(
        self,
        warnings: CertificateWarnings,
        result: CertificateRenewalResult,
        target: Target,
        renewal: Renewal | None,
        *,
        at: datetime,
    ) -> None:
        """Say of one that is due why it is not renewed."""
        if not target.is_due or target.certificate is None:
            return
        why = renewal.failed if renewal else "no run can renew it: settings say of none who does"
        result.failed.append(f"{target.hosts}: {why}")
        await warnings.ends(target.certificate, at, f"{target.hosts} is not renewed ({why})")

    async def _tell(self, desk: Desk, result: CertificateRenewalResult) -> None:
        """Tell the channel what was done, and what is wrong; nothing where nothing was."""
        told = [
            ("renewed", result.renewed),
            ("left alone", result.left),
            (":warning: not renewed", result.failed),
            (":warning: could not look at", result.unseen),
            (":warning: not served yet", result.not_served),
            (":warning: refused by clients", result.refused),
        ]
        lines = [f"• {what}: {'; '.join(names)}" for what, names in told if names]
        if lines:
            await desk.tell("summary", "\n".join([f":lock: {self.title}", *lines]))

    def _outcome(self, result: CertificateRenewalResult, renewals: dict[str, Renewal]) -> str:
        if self.dry_run:
            return "planned"
        if result.failed:
            return "renewed in part" if result.renewed else "not renewed"
        if result.not_served:
            return "not served everywhere"
        if result.unseen or result.refused:
            return "not all seen" if result.unseen else "refused by clients"
        return "renewed" if renewals and result.renewed else "nothing to renew"


def _wanted(request: CertificateRenewalRequest, status: Status) -> list[Target]:
    """Give what the request names.

    Raises:
        InvalidInput: there is no such host or Secret; lists those there are.

    """
    if not request.only:
        return status.targets
    known = {name for target in status.targets for name in target.called}
    if missing := [name for name in request.only if name not in known]:
        raise InvalidInput(
            f"only: the service has no {', '.join(missing)}. It has: {', '.join(sorted(known)) or 'none'}"
        )
    return [target for target in status.targets if target.called & {*request.only}]


def _may_be_tried(renewal: Renewal) -> bool:
    return bool(renewal.failed) and (renewal.not_before is None or renewal.not_before <= workflow.now())


def _expected(targets: list[Target], renewals: dict[str, Renewal]) -> list[Expected]:
    """Give what should be served: what was renewed, and what was in the Secrets before."""
    found = []
    for target in targets:
        renewal = renewals.get(target.name)
        new = renewal.certificate if renewal else None
        certificate = new or (target.certificate if target.secret else None)
        if certificate is not None:
            found.append(Expected(target=target, certificate=certificate, renewed=new is not None))
    return found


def _question(number: int, failed: list[Renewal], timeout: timedelta) -> Question:
    lasting = all(one.permanent for one in failed)
    waits = [one.not_before for one in failed if one.not_before]
    when = f", not before {max(waits):%Y-%m-%d %H:%M %Z}" if waits else ""
    names = ", ".join(one.name for one in failed)
    return Question(
        id=f"renewal-{number}",
        title=f"{names} could not be renewed. Try again?",
        options={
            _RETRY: f"order once more{when}: when what was in the way is mended",
            _LEAVE: "leave it: the next look comes with the schedule, and people are paged in time",
        },
        recommended=_LEAVE if lasting else None,
        default=_LEAVE,
        kind="certificate",
        evidence=[f"{one.name}: {one.failed}{' — will not pass by itself' if one.permanent else ''}" for one in failed],
        timeout=timeout,
    )
