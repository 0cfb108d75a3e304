"""P1 incident response (runbook 2.2): from an alert to a closed incident.

The phases are clocks, not waits: work goes on as fast as the facts allow, and a deadline that is missed escalates once.
"""

import asyncio
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Mitigation, Service
from activities.common.errors import Refused
from activities.common.text import Name, Words
from activities.kubernetes.cluster import AwaitRollout, Kubernetes
from activities.monitoring.health import HealthChecks, HealthRequest, SteadyRequest
from activities.records.activities import Records
from activities.records.alerts import Alert
from activities.records.deployments import RecordDeployment
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.diagnosis import Diagnosis, Facts, Proposal, diagnose
from workflows.incident_response.mitigation import mitigate, question
from workflows.platform import policies
from workflows.platform.clocks import Clock
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import Note
from workflows.platform.runbook import Runbook
from workflows.platform.signing import SignedWord
from workflows.shared.incident import Incident

_TITLE = 200


class P1Request(ServiceRequest):
    """Start a P1 incident; everything has a default where the catalogue has one service."""

    title: Name | None = Field(default=None, description="What the incident is called.")
    commander: Name | None = Field(default=None, description="The on-call, where nobody is named.")
    mitigation: Literal["auto", "approve"] | None = Field(
        default=None, description="Overrides the service's policy for this run."
    )


class P1Result(BaseModel):
    """How the incident went."""

    incident_id: str
    service: str
    outcome: Literal["closed", "planned"]
    mitigations: list[Mitigation]
    resolution: str = ""
    root_cause: str = ""
    acknowledged_after: timedelta | None = None
    mitigated_after: timedelta | None = None
    resolved_after: timedelta
    evidence: list[str]


class Closing(SignedWord):
    """What closes an incident (step 12)."""

    UPDATE = "close"

    resolution: Words = Field(min_length=1, max_length=5000)
    root_cause: Words = Field(min_length=1, max_length=5000)
    force: bool = Field(
        default=False, description="Close at any time, although the service doesn't say it is healthy; it is noted."
    )


@workflow.defn
class P1Incident(Runbook):
    """Assess, mitigate, verify, inform, collect evidence, and wait for a person to close."""

    SECTION = "2.2"

    def __init__(self) -> None:
        super().__init__()
        self.incident: Incident
        self._tried: list[Mitigation] = []
        self._rounds = 0
        self._left_to = ""
        self._ready = False
        self._resolutions = 0
        self._fired_again = False
        self._next_alert: Alert | None = None
        self._closing: Closing | None = None
        self._unwell = ""
        """What the service said when people closed in spite of it."""

    @workflow.run
    async def run(self, request: P1Request) -> P1Result:
        """Follow 2.2 from the alert to the post-mortem.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        # A run that goes on as a new incident (see `_end`) does everything anew: its effects are not those of the last.
        self.epoch = (workflow.info().continued_run_id or "")[:8]
        title = request.title or (request.alert.summary[:_TITLE] if request.alert else None)
        service = await self.begin(request, title=title or "P1 incident", service=request.service, severity="P1")
        if title is None:
            self.title = f"P1 incident on {service.name}"
        self.incident = Incident(self, service, "P1", self.title, request.commander)
        self._start_clocks(service)
        try:
            self._ready = True
            return await self._respond(request, service)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
                await asyncio.shield(asyncio.create_task(self.incident.abandon()))
            raise

    async def _respond(self, request: P1Request, service: Service) -> P1Result:
        self.phase("0 min: alert received")
        opened = self.background(self.incident.begin(request.alert))
        while True:
            await self._restore(request, service)
            await opened
            if self._closing is not None:
                break
            await self._stabilise(service)
            await self._investigate(service)
            if self.dry_run:
                return await self._end(request, "planned")
            if await self._wait_for_closing(service):
                break
        await self._resolve()
        return await self._end(request, "closed")

    def _start_clocks(self, service: Service) -> None:
        policy = service.incident
        self.clocks.start("Acknowledged", policy.acknowledge_within, self._late)
        self.clocks.start("Assessed", policy.assess_within, self._late)
        self.clocks.start("Mitigated", policy.mitigate_within, self._late)
        self.clocks.start("Stable", policy.stabilise_within, self._late)

    async def _late(self, clock: Clock) -> None:
        """Escalate a missed deadline, once; the public hears of an outage that lasts."""
        await self.incident.escalate(f"deadline missed: {clock.name}")
        if clock.name == "Mitigated":
            await self.incident.status_page("2.2/7", "Investigating", "We are investigating an outage.")

    # -- 0–15 minutes: assess and mitigate ---------------------------------------------------------------

    async def _restore(self, request: P1Request, service: Service) -> None:
        """Bring health back: assess, choose, act, verify; never the same twice, and not once people have closed."""
        auto = (request.mitigation or service.incident.mitigation) == "auto"
        while True:
            diagnosis = await self._assess(service)
            if self._closing is not None:
                return
            if diagnosis.healthy:
                self.say("step", "The service says it is healthy: nothing to mitigate")
            else:
                await self._mitigate(diagnosis, service, auto=auto)
            if self.dry_run or self._closing is not None or await self._verify(service):
                return

    async def _assess(self, service: Service) -> Diagnosis:
        """Read what is broken and what changed (steps 3 to 5); decide as soon as it is clear."""
        self.phase("0–5 min: initial assessment")
        assessment = Assessment(self, service)
        await assessment.first
        diagnosis = self._diagnose(assessment.facts, service)
        if not diagnosis.clear:
            await assessment.rest
            diagnosis = self._diagnose(assessment.facts, service)
        self.clocks.met("Assessed")
        return diagnosis

    def _diagnose(self, facts: Facts, service: Service) -> Diagnosis:
        return diagnose(facts, service.incident, set(self._tried), workflow.now(), container=service.container)

    async def _mitigate(self, diagnosis: Diagnosis, service: Service, *, auto: bool) -> None:
        """Choose between A, B and C, and do it."""
        self.phase("5–15 min: initial mitigation")
        if diagnosis.left_to:
            await self._leave(diagnosis.left_to)
            return
        chosen = await self._choose(diagnosis, service, auto=auto)
        if chosen is None:
            self.say("decision", "Left to people: watching for health")
            return
        self._tried.append(chosen.mitigation)
        # Read now: a rollback or restart takes the failing pods, and their logs, away within seconds.
        name = f"logs-before-{chosen.mitigation}.txt"
        self.background(self.incident.collect_logs(name, service.incident.logs_since, failing_only=True))
        change = await mitigate(self, service, chosen)
        if change is not None and chosen.mitigation == "rollback" and workflow.patched("record-what-was-left"):
            self.background(self._record_left(service, chosen))

    async def _record_left(self, service: Service, chosen: Proposal) -> None:
        """Remember which release was to blame, so that no run goes back to it by itself."""
        record = RecordDeployment(
            service=service.name, version=chosen.from_version, status="rolled_back", at=workflow.now(),
            deployer=self.actor, revision=chosen.from_revision, release=chosen.from_release,
            reason=f"{self.incident.id}: {'; '.join(chosen.because) or 'chosen by people'}"[:2000],
            effect=self.effect("record-rollback"),
        )  # fmt: skip
        await self.keep("2.2/A", "Record the rollback", Records.record_deployment, record)

    async def _leave(self, to: str) -> None:
        """Mitigate nothing: another run keeps the service stopped on purpose, and brings it back."""
        if to == self._left_to:
            return
        self._left_to = to
        self.say("decision", f"The service is kept stopped by {to}, which brings it back: watching for health")
        await self.incident.tell("left", f":hourglass: nothing is mitigated: the service is kept stopped by {to}")

    async def _choose(self, diagnosis: Diagnosis, service: Service, *, auto: bool) -> Proposal | None:
        """Decide by the facts where they are clear and policy allows it, else ask; None is left to people."""
        first = diagnosis.first
        allowed = len(self._tried) < service.incident.max_mitigations
        if first is not None and diagnosis.clear and auto and allowed:
            self.say("decision", f"Decided to {first.does}: {'; '.join(first.because)}")
            return first
        self._rounds += 1
        asked = question(self._rounds, diagnosis, service, allowed=allowed)
        if self.dry_run:
            self.say("decision", f"would ask the commander to choose: {', '.join(asked.options)}")
            return None
        self.background(self.incident.ask(asked))
        resolutions = self._resolutions
        answer = await self.ask(
            asked, escalate=self.incident.escalate,
            until=lambda: self._resolutions > resolutions or self._closing is not None,
        )  # fmt: skip
        # Whoever closes has said what is to be done: nothing, whatever the question's default is.
        return None if self._closing is not None else diagnosis.find(answer.choice)

    # -- 15–30 minutes: stabilise ------------------------------------------------------------------------

    async def _verify(self, service: Service) -> bool:
        """Wait for the rollout, then for health that holds (step 6)."""
        policy = service.incident
        lasting = policies.WAIT.lasting(policy.verify_timeout)
        await self.attempt(
            "2.2/6", "Rollout", Kubernetes.await_rollout,
            AwaitRollout(namespace=service.namespace, deployment=service.deployment, timeout=policy.verify_timeout),
            lasting,
        )  # fmt: skip
        health = await self.attempt(
            "2.2/6", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ
        )
        # One good answer may be a blip: what counts is health that holds. Runs from before counted the answer.
        if health is not None and health.healthy and not workflow.patched("mitigated-when-steady"):
            self._mitigated()
        steady = await self.attempt(
            "2.2/6", "Steady health", HealthChecks.steady,
            SteadyRequest(url=service.health_url, steady_for=policy.steady_for,
                          give_up_after=policy.steady_for + policy.verify_timeout),
            policies.WAIT.lasting(policy.steady_for + policy.verify_timeout),
        )  # fmt: skip
        if steady is None or not steady.steady:
            return False
        self._mitigated()
        return True

    def _mitigated(self) -> None:
        if self.clocks.met("Mitigated"):
            self.background(self.incident.reached("mitigated"))

    async def _stabilise(self, service: Service) -> None:
        """Tell the public and the stakeholders (steps 7 and 8)."""
        self.phase("15–30 min: stabilisation")
        if not self.dry_run:
            self.clocks.met("Stable")
        done = f"{', '.join(self._tried)} done" if self._tried else "no mitigation was needed"
        await asyncio.gather(
            self.incident.reached("stable"),
            self.incident.status_page("2.2/7", "Identified", "Issue identified, implementing fix"),
            self.incident.notify_stakeholders("P1 incident in progress, service restored, investigating root cause"),
            self.incident.tell(
                "restored", f":large_green_circle: {service.name} is healthy again ({done}). Investigating."
            ),
        )

    # -- 30+ minutes: root cause -------------------------------------------------------------------------

    async def _investigate(self, service: Service) -> None:
        """Keep logs and metrics, and write into the incident what is known (steps 9 to 11)."""
        self.phase("30+ min: root cause investigation")
        policy = service.incident
        await asyncio.gather(
            self.incident.collect_logs("logs.txt", policy.logs_since),
            self.incident.export_metrics(policy.metrics_since),
        )
        kept = "\n".join(f"- {item}" for item in self.incident.evidence) or "- none"
        await self.incident.note("runbook", f"{self.timeline.markdown()}\n\nEvidence:\n{kept}")

    async def _wait_for_closing(self, service: Service) -> bool:
        """Wait for a person to close, reminding; False when the alert has fired again."""
        self._fired_again = False
        self.wait_for("close")
        await self.incident.tell(
            "closable", f":ballot_box_with_check: {self.incident.id} can be closed: `runbooks close`"
        )
        while self._closing is None and not self._fired_again:
            try:
                await workflow.wait_condition(
                    lambda: self._closing is not None or self._fired_again,
                    timeout=service.incident.close_reminder,
                    timeout_summary="reminder to close",
                )
            except TimeoutError:
                await self.incident.tell("reminder", f":alarm_clock: {self.incident.id} is still open")
        self.wait_for("")
        return self._closing is not None

    # -- resolution --------------------------------------------------------------------------------------

    async def _resolve(self) -> None:
        """Close, tell, schedule the post-mortem (steps 12 to 14)."""
        self.phase("Resolution")
        closing = self._closing
        assert closing is not None
        self.say("decision", f"Closed: {closing.resolution}", who=f"{closing.who} ({closing.role})")
        if self._unwell:
            self.say("problem", f"Closed although {self.incident.service.name} is not healthy: {self._unwell}")
        await self.incident.close(closing.who, closing.resolution, closing.root_cause, unwell=self._unwell)
        await self.incident.schedule_post_mortem(closing.resolution, closing.root_cause)

    async def _end(self, request: P1Request, outcome: Literal["closed", "planned"]) -> P1Result:
        self.clocks.stop()
        await self.settle()
        self.finish(outcome)
        if self._next_alert is not None:
            # It fired while this incident was being closed: that is a new incident, under the same workflow ID.
            workflow.continue_as_new(request.model_copy(update={"alert": self._next_alert, "title": None}))
        return P1Result(
            incident_id=self.incident.id,
            service=self.incident.service.name,
            outcome=outcome,
            mitigations=self._tried,
            resolution=self._closing.resolution if self._closing else "",
            root_cause=self._closing.root_cause if self._closing else "",
            acknowledged_after=self.clocks.took("Acknowledged"),
            mitigated_after=self.clocks.took("Mitigated"),
            resolved_after=workflow.now() - workflow.info().workflow_start_time,
            evidence=[item.uri for item in self.incident.evidence],
        )

    # -- what people and alerts send ---------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take the alert firing again (it joins this incident) or resolving."""
        await workflow.wait_condition(lambda: self._ready)
        if alert.status == "resolved":
            self._resolutions += 1
            self.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
            await self.incident.alert_resolved(alert)
        elif self.has_taken(alert):
            return
        elif self._closing is not None:
            self.say("signal", f"{alert.name} fires again while this incident is being closed: a new incident follows")
            self._next_alert = alert
        else:
            self.say("signal", f"{alert.name} fires again: joins this incident")
            self.took(alert)
            self._fired_again = True
            await self.incident.acknowledge(alert)

    @workflow.update(name="close", description="Close the incident: resolution and root cause.")
    async def close(self, closing: Closing) -> str:
        """Take the closing of a person who may.

        Raises:
            Refused: the service doesn't say it is healthy, and `force` isn't set.

        """
        service = self.incident.service
        health = await self.attempt(
            "2.2/12",
            "Health before closing",
            HealthChecks.check,
            HealthRequest(url=service.health_url),
            policies.READ,
        )
        unwell = "" if health is not None and health.healthy else str(health or "could not be asked")
        if unwell and not closing.force:
            raise Refused(f"{service.name} is not healthy ({unwell}): close with --force, or wait")
        if self._closing is None:
            self._closing, self._unwell = closing, unwell
        return f"{self.incident.id} is being closed"

    @close.validator
    def _check_closing(self, closing: Closing) -> None:
        self.approvals.authorise(closing, "close")
        # Who takes over knows more than the health URL: with `force` nothing keeps them.
        if self.waiting_for != "close" and not (closing.force and self._ready):
            message = f"the incident can't be closed yet, the run is at: {self.timeline.phase}" + (
                f". It waits for you to {self.waiting_for}" if self.waiting_for else ""
            )
            raise Refused(message)

    async def noted(self, note: Note) -> None:
        """Keep remarks in the incident's record too (step 11)."""
        await workflow.wait_condition(lambda: self._ready)
        await self.incident.note(f"{note.who} ({note.role})", note.text)
