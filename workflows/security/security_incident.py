"""Security incident (runbook 8.1): isolate, keep evidence, move, and give the nodes back as people say."""

import asyncio
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput
from activities.common.text import Name, Text, Words
from activities.common.times import Time
from activities.customers.tenant_records import TENANT_ID
from activities.evidence.evidence import Evidence, StoreDocument
from activities.records.security import (
    CloseSecurityIncident,
    OpenSecurityIncident,
    SecurityIncidents,
    SecuritySeverity,
)
from workflows.platform.clocks import Clock
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.security.access_review import AccessReview
from workflows.security.audit_report import as_json, as_markdown, report
from workflows.security.blocking import AddressBlock
from workflows.security.containment import Containment
from workflows.security.duties import Duties
from workflows.security.rotation import ALL, Rotation
from workflows.shared.desk import Desk

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""What Kubernetes calls a DNS subdomain: names of nodes and pods."""

_FIRST = timedelta(minutes=5)
"""The page's first phase: isolated, and the evidence kept."""


class SecurityIncidentRequest(ServiceRequest):
    """A breach is suspected."""

    severity: SecuritySeverity = Field(default="critical", description="critical pages as P1 does, high as P2.")
    type: Name = Field(default="potential-breach", min_length=1, max_length=100, description="What is suspected.")
    initial_findings: Words = Field(
        default="", max_length=10_000, description="What was seen. It goes into the restricted record and nowhere else."
    )
    nodes: list[Name] = Field(
        default_factory=list,
        max_length=5,
        description="Suspected nodes: cordoned at once, drained after two approvals.",
    )
    pods: list[Name] = Field(
        default_factory=list,
        max_length=50,
        description="Suspected pods of the service: isolated at once. All of the service on the nodes otherwise.",
    )
    rotate: list[Name] = Field(
        default_factory=list,
        max_length=50,
        description="Credentials of the settings that are suspected, by name, or all: people are asked about these.",
    )
    tenants: list[Annotated[str, Field(pattern=TENANT_ID), Text(100)]] = Field(
        default_factory=list, max_length=20, description="Customers whose API key leaked: 8.2 replaces each."
    )
    block: list[Name] = Field(
        default_factory=list,
        max_length=50,
        description="Addresses to block, after two approvals: IPv4 or IPv6, alone or as a network, e.g. 203.0.113.7.",
    )
    aware_at: Annotated[AwareDatetime | None, Time()] = Field(
        default=None, description="When people became aware of it; the start of the run otherwise."
    )

    @model_validator(mode="after")
    def _names(self) -> "SecurityIncidentRequest":
        for field, names in {"nodes": self.nodes, "pods": self.pods}.items():
            if not all(map(_NAME.fullmatch, names)):
                raise ValueError(f"{field}: small letters, digits, '-' and '.' only")
        try:
            self.block[:] = [str(ip_network(each)) for each in self.block]
        except ValueError:
            raise ValueError("block: one is neither an address nor a network (10.1.2.0/24)") from None
        for field, names in {
            "nodes": self.nodes,
            "pods": self.pods,
            "rotate": self.rotate,
            "tenants": self.tenants,
            "block": self.block,
        }.items():
            if len(set(names)) < len(names):
                raise ValueError(f"{field}: one is named twice")
        return self


Outcome = Literal["planned", "contained", "isolated", "evidence kept", "cancelled"]
Nodes = Literal["uncordon", "replace", "leave", "none"]


class SecurityIncidentResult(BaseModel):
    """What became of it."""

    incident_id: str
    service: str
    outcome: Outcome = Field(description="contained: nothing is left that should have gone.")
    isolated: list[str] = Field(description="Pods.")
    moved: int = Field(description="Pods that have gone.")
    left: list[str] = Field(description="Pods that should have gone, and what keeps them.")
    manifests: list[str] = Field(description="Of the evidence, each with its SHA-256.")
    nodes: Nodes = Field(description="What became of the nodes; none where none was named, or nobody was asked.")

    duties: dict[str, str] = Field(
        default_factory=dict, description="By law, gdpr or hipaa: how its clock ended, and by whom."
    )
    credentials: dict[str, str] = Field(default_factory=dict, description="What became of each that could be rotated.")
    addresses: dict[str, str] = Field(default_factory=dict, description="What became of each that was to be blocked.")


@workflow.defn
class SecurityIncident(Runbook):
    """Record, isolate, keep, ask, drain, ask, give back."""

    SECTION = "8.1"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self._desk: Desk | None = None
        self._containment: Containment | None = None
        self._rotation: Rotation | None = None
        self._blocks: list[AddressBlock] = []
        self._accesses: AccessReview | None = None
        self._short_term: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, request: SecurityIncidentRequest) -> SecurityIncidentResult:
        """Follow 8.1.

        Raises:
            InvalidInput: the service is not in the catalogue; people became aware of it in the future; settings name
                no such credential.
            NotFound: there is no such node or pod. Nothing has been changed then.
            Refused: a pod is not one of the service.

        """
        severity: Literal["P1", "P2"] = "P1" if request.severity == "critical" else "P2"
        service = await self.begin(request, title="Security incident", service=request.service, severity=severity)
        started = workflow.info().workflow_start_time
        if request.aware_at is not None and request.aware_at > started:
            raise InvalidInput("aware_at: is in the future")
        self.title = f"Security incident of {service.name}"
        policy = service.security
        if request.rotate != [ALL] and (unknown := set(request.rotate) - set(policy.credentials)):
            known = ", ".join(policy.credentials) or "none"
            raise InvalidInput(f"rotate: settings have no {', '.join(sorted(unknown))}; they have: {known}")
        restricted = service.model_copy(
            update={"channel": policy.channel, "on_call": policy.on_call or service.on_call}
        )
        desk = self._desk = Desk(self, restricted, severity, self.title, "SEC")
        self.incident_id = desk.id
        containment = self._containment = Containment(desk, nodes=request.nodes, pods=request.pods)
        await containment.look()
        try:
            return await self._respond(request, service, desk, containment)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
                await shielded(self._abandon(desk, containment))
            raise

    async def _respond(
        self, request: SecurityIncidentRequest, service: Service, desk: Desk, containment: Containment
    ) -> SecurityIncidentResult:
        self.phase("0–5 min: isolate and keep evidence")
        self.clocks.start("Isolated, evidence kept", _FIRST, self._late)
        told = self.background(self._tell(request, service, desk))
        held = await containment.hold()
        if workflow.patched("live-state"):
            await containment.capture_live()
        safe = await containment.keep_evidence()
        await told
        if held and safe:
            self.clocks.met("Isolated, evidence kept")
        # Credentials don't wait for a drain's two people, nor a drain for them.
        if workflow.patched("credentials"):
            rotation = self._rotation = Rotation(desk, named=request.rotate, tenants=request.tenants)
            named = AddressBlock(desk, request.block)
            self._blocks.append(named)
            review = self._accesses = AccessReview(desk) if workflow.patched("accesses") else None
            self._short_term = asyncio.create_task(self._short(rotation, named, review))
        outcome: Outcome = "isolated" if containment.suspects.suspected or request.nodes else "evidence kept"
        if safe and outcome == "isolated":
            self.phase("Drain")
            if await containment.drain():
                outcome = "contained"
        self.phase("30+ min: investigate")
        duties = Duties(desk, request.aware_at or workflow.info().workflow_start_time)
        if self.dry_run:
            outcome = "planned"
        # The legal clocks run for weeks: the nodes don't wait for them.
        _, nodes = await asyncio.gather(duties.see_to(), self._give_back(containment, outcome))
        for block in self._blocks:
            block.leave()
        await self._close(desk, outcome)
        self.clocks.stop()
        await self.settle()
        self.finish(outcome)
        return self._result(containment, duties, outcome, nodes)

    async def _short(self, rotation: Rotation, named: AddressBlock, review: AccessReview | None) -> None:
        found = [self._look_for_more(review)] if review is not None else []
        await asyncio.gather(rotation.follow(), named.decide(), *found)

    async def _look_for_more(self, review: AccessReview) -> None:
        """Review the accesses, and ask about what nobody has named: those that are named don't wait for it."""
        await review.follow()
        named = [ip_network(each) for block in self._blocks for each in block.addresses]
        more = [each for each in review.suspects() if not any(_within(ip_network(each), other) for other in named)]
        if more and review.desk.service.security.blocks is not None:
            found = AddressBlock(review.desk, more, found=True)
            self._blocks.append(found)
            await found.decide()

    async def _give_back(self, containment: Containment, outcome: Outcome) -> str:
        nodes = await containment.give_back()
        if self._short_term is not None:
            await self._short_term
        await self._report(containment, outcome, nodes)
        return nodes

    async def _report(self, containment: Containment, outcome: Outcome, nodes: str) -> None:
        """Keep the full report: `tensafe-admin security audit --full`.

        What the legal clocks come to is kept beside it, when they end.
        """
        content = report(containment, self._rotation, self._ended(), self._accesses, outcome=outcome, nodes=nodes)
        for name, text, kind in (
            ("audit-report.json", as_json(content), "application/json"),
            ("audit-report.md", as_markdown(content), "text/markdown"),
        ):
            document = StoreDocument(
                incident_id=self.incident_id,
                name=name,
                content=text,
                content_type=kind,
                effect=self.effect(name.replace(".", "-")),
            )
            await self.keep("8.1/7", f"Keep {name}", Evidence.store_document, document)

    async def _tell(self, request: SecurityIncidentRequest, service: Service, desk: Desk) -> None:
        """Enter the record, and call people: without a word of what was found."""
        now = workflow.now()
        record = OpenSecurityIncident(
            incident_id=desk.id,
            service=service.name,
            severity=request.severity,
            type=request.type,
            findings=request.initial_findings,
            nodes=request.nodes,
            pods=request.pods,
            aware_at=request.aware_at or workflow.info().workflow_start_time,
            opened_at=now,
            effect=self.effect("open"),
        )
        await asyncio.gather(
            self.keep("8.1/3", "Enter the security incident", SecurityIncidents.open, record),
            desk.open(
                f":rotating_light: {desk.id}: {request.severity}. What was found stands in the restricted record."
            ),
            desk.page(f"{desk.id}, {request.severity}"),
        )

    async def _late(self, clock: Clock) -> None:
        assert self._desk is not None
        await self._desk.escalate(f"deadline missed: {clock.name}")

    async def _close(self, desk: Desk, outcome: Outcome) -> None:
        request = CloseSecurityIncident(
            incident_id=desk.id, outcome=outcome, at=workflow.now(), effect=self.effect("close")
        )
        await self.keep("8.1/3", "Close the record", SecurityIncidents.close, request)
        await desk.tell("ended", f":white_check_mark: {desk.id} ends: {outcome}.")

    async def _abandon(self, desk: Desk, containment: Containment) -> None:
        """Leave everything as it is: what is suspected gets no network back because nobody looks after it."""
        self.clocks.stop()
        self.wait_for("")
        if self._short_term is not None:
            self._short_term.cancel()
            await asyncio.gather(self._short_term, return_exceptions=True)
        for block in self._blocks:
            block.leave()
        half = "".join(f"; {each}" for each in self._rotation.held()) if self._rotation else ""
        text = f"{desk.id} was cancelled. It stays: {containment.held()}{half}"
        self.say("problem", text, section="8.1")
        await asyncio.gather(desk.tell("cancelled", f":warning: {text}"), desk.page("cancelled: look at what it holds"))
        request = CloseSecurityIncident(
            incident_id=desk.id, outcome="cancelled", at=workflow.now(), effect=self.effect("close")
        )
        await self.keep("8.1/3", "Close the record", SecurityIncidents.close, request)
        await self.settle()

    def _result(self, containment: Containment, duties: Duties, outcome: Outcome, nodes: str) -> SecurityIncidentResult:
        assert self.service is not None
        return SecurityIncidentResult.model_validate(
            {
                "incident_id": self.incident_id,
                "service": self.service.name,
                "outcome": outcome,
                "isolated": [str(pod) for pod in containment.isolated],
                "moved": len(containment.gone),
                "left": containment.left,
                "manifests": [f"{part.manifest.uri} sha256:{part.manifest.sha256}" for part in containment.parts],
                "nodes": nodes,
                "duties": duties.ended,
                "credentials": self._rotation.ended() if self._rotation else {},
                "addresses": self._ended(),
            }
        )

    def _ended(self) -> dict[str, str]:
        """Say what became of each address that was to be blocked."""
        return {address: how for block in self._blocks for address, how in block.ended().items()}

    def board(self) -> str:
        """Show what is held."""
        return f"{self.incident_id}: {self._containment.held()}" if self._containment and self.incident_id else ""


def _within(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)
