"""Compliance audit preparation (runbook 8.3): what the records and a look at access and encryption show of a period."""

import asyncio
from typing import Any

from pydantic import BaseModel, Field, field_validator
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.compliance import FrameworkName
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput
from activities.common.text import Key
from activities.compliance.access import AccessReview, AccessReviewed, ReviewAccess
from activities.compliance.encryption import EncryptionLooked, EncryptionStatus, LookAtEncryption
from activities.compliance.packages import CompliancePackages, Counts, Exhibit, MakePackage, OfPeriod, Packaged
from audit.compliance import Gap
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.security.audit_gaps import LONGEST, MOST_LOOKS, PACKAGE, RETRY, STOP, gaps_question
from workflows.security.audit_period import LAST_QUARTER, AuditPeriod, checked, period
from workflows.shared.desk import Desk


class ComplianceAuditRequest(ServiceRequest):
    """Package the evidence of a framework and a period."""

    framework: FrameworkName = Field(description="soc2 or hipaa.")
    period: Key = Field(
        default=LAST_QUARTER,
        description="'2025-01-01 to 2025-12-31', 2025, 2025-Q4, 2025-12, last-quarter or last-year; whole days, UTC.",
    )
    seed: Key = Field(
        default="",
        max_length=100,
        pattern=r"^[A-Za-z0-9._:-]*$",
        description="An auditor's, to draw samples by; made from framework and period where there is none.",
    )
    samples: int = Field(default=25, ge=1, le=200, description="How many are drawn of each population.")
    ask_about_gaps: bool = Field(
        default=True, description="Ask a person where a source can't be looked at; else it is packaged at once."
    )

    @field_validator("period")
    @classmethod
    def _is_one(cls, text: str) -> str:
        return checked(text)


class ComplianceAuditResult(BaseModel):
    """Where the package is, and what it lacks."""

    framework: FrameworkName
    start: str
    end: str
    seed: str
    package: str = Field(default="", description="Its URI; empty where none was made.")
    sha256: str = ""
    size: int = Field(default=0, description="Bytes.")
    audit_rows: int = 0
    populations: dict[str, int] = Field(default_factory=dict)
    gaps: list[str] = Field(default_factory=list, description="What could not be looked at, and why.")


@workflow.defn
class ComplianceAudit(Runbook):
    """Count, look at access and encryption, ask about gaps, package, tell."""

    SECTION = "8.3"

    @workflow.run
    async def run(self, request: ComplianceAuditRequest) -> ComplianceAuditResult:
        """Follow 8.3.

        Raises:
            InvalidInput: the service is not in the catalogue; the period is not over.
            Misconfigured: there is no key to sign a package with.

        """
        service = await self.begin(request, title="Compliance audit", service=request.service, severity="P4")
        try:
            of = period(request.period, workflow.now().date())
        except ValueError as error:
            raise InvalidInput(f"period: {error}") from None
        self.title = f"Compliance audit: {request.framework}, {of}"
        self.say("decision", f"The period is {of}, both days included (UTC)")
        try:
            return await self._prepare(request, service, of)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _prepare(
        self, request: ComplianceAuditRequest, service: Service, of: AuditPeriod
    ) -> ComplianceAuditResult:
        desk = Desk(self, service, "P4", self.title, "AUDIT")
        seed = request.seed or f"{request.framework}/{of.start}/{of.end}".replace("/", ":")
        result = ComplianceAuditResult(framework=request.framework, start=str(of.start), end=str(of.end), seed=seed)
        self.phase("Populations")
        counted = await self._counted(request, of)
        folder = f"compliance/{request.framework}-{of.start}-{of.end}"
        self.phase("Access and encryption")
        counted, access, encryption, choice = await self._looked(request, desk, of, folder, counted)
        gaps = [*counted.gaps, *access.gaps, *encryption.gaps]
        result.populations = counted.items
        result.gaps = [str(gap) for gap in gaps]
        if choice == STOP:
            await desk.tell("stopped", f":clipboard: {self.title}: nothing was packaged, as decided.")
            await self.settle()
            self.finish("stopped")
            return result
        self.phase("Package")
        made = await self.step(
            "8.3/5",
            "Package all evidence",
            CompliancePackages.package,
            MakePackage(
                framework=request.framework,
                start=of.start,
                end=of.end,
                folder=folder,
                looked_on=workflow.now().date(),
                seed=seed,
                seed_given=bool(request.seed),
                samples=request.samples,
                access=Exhibit(uri=access.uri, sha256=access.sha256),
                access_counts=access.counts,
                encryption=Exhibit(uri=encryption.uri, sha256=encryption.sha256),
                gaps=gaps,
                effect=self.effect("package"),
            ),
            policies.COLLECT.lasting(LONGEST),
        )
        result.package, result.sha256, result.size = made.uri, made.sha256, made.size
        result.audit_rows = made.audit_rows
        await desk.tell("packaged", _told(self.title, made, gaps, planned=self.dry_run))
        await self.settle()
        self.finish("planned" if self.dry_run else "packaged, with gaps" if gaps else "packaged")
        return result

    async def _counted(self, request: ComplianceAuditRequest, of: AuditPeriod) -> Counts:
        """Count what the records have, and tell what they can't have."""
        counted = await self.step(
            "8.3/1",
            "Count what the period has",
            CompliancePackages.populations,
            OfPeriod(framework=request.framework, start=of.start, end=of.end),
            policies.COLLECT,
        )
        for gap in counted.gaps:
            self.say("problem", str(gap), section="8.3/1")
        return counted

    async def _looked(
        self, request: ComplianceAuditRequest, desk: Desk, of: AuditPeriod, folder: str, counted: Counts
    ) -> tuple[Counts, AccessReviewed, EncryptionLooked, str]:
        """Look at access and encryption, again where a person has mended what was in the way."""
        for look in range(1, MOST_LOOKS + 1):
            if look > 1 and counted.gaps:
                counted = await self._counted(request, of)
            both: Any = await asyncio.gather(
                self.step(
                    "8.3/3",
                    "Review access",
                    AccessReview.review,
                    ReviewAccess(folder=folder, since=of.start, effect=self.effect("access-review")),
                    policies.COLLECT,
                ),
                self.step(
                    "8.3/4",
                    "Measure encryption",
                    EncryptionStatus.look,
                    LookAtEncryption(folder=folder, effect=self.effect("encryption")),
                    policies.COLLECT,
                ),
            )
            access: AccessReviewed = both[0]
            encryption: EncryptionLooked = both[1]
            gaps = [*access.gaps, *encryption.gaps]
            for gap in gaps:
                self.say("problem", f"could not look: {gap}", section="8.3/3" if gap in access.gaps else "8.3/4")
            mendable = [gap for gap in [*counted.gaps, *gaps] if gap.mendable]
            if not mendable or not request.ask_about_gaps or self.dry_run:
                return counted, access, encryption, PACKAGE
            choice = await self._asked_about(desk, gaps_question(look, mendable))
            if choice != RETRY:
                break
        return counted, access, encryption, choice

    async def _asked_about(self, desk: Desk, question: Question) -> str:
        self.background(desk.ask(question))

        async def remind(why: str) -> None:
            # An audit is prepared by day: nobody is paged for it.
            await desk.tell(f"reminder of {question.id}", f":clipboard: {why}")

        return (await self.ask(question, escalate=remind)).choice


def _told(title: str, made: Packaged, gaps: list[Gap], *, planned: bool) -> str:
    what = "would be kept as" if planned else "is kept as"
    missing = "".join(f"\n• could not look: {gap}" for gap in gaps)
    return f":clipboard: {title} {what} {made.uri} ({made.sha256[:16] or 'not made'}){missing}"
