"""P2 incident response (runbook 2.3): a service that is degraded but works, brought back or raised to P1."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Mitigation, Service
from activities.common.errors import Refused
from activities.common.text import Name
from activities.evidence.error_patterns import ErrorLogs, ErrorPatternsRequest
from activities.evidence.evidence import ChartFigures, Evidence
from activities.kubernetes.cluster import Kubernetes, ScaleDeployment, Workload
from activities.monitoring.degradation import DegradationWatch, DegradationWatched, WatchDegradation
from activities.monitoring.figures import Figures
from activities.records.activities import Records
from activities.records.alerts import AcknowledgeAlert, Alert, ResolveAlert
from activities.records.incidents import OpenIncident
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.degraded import Degradation, DegradedFacts, Reason, degraded, limits
from workflows.incident_response.diagnosis import Proposal
from workflows.incident_response.incident_parts import P2Parts
from workflows.incident_response.incident_words import Closing, Raise
from workflows.incident_response.joined_alerts import UnnamedEnds, named_end, was_over
from workflows.incident_response.mitigation import mitigate
from workflows.incident_response.p1_incident import P1Request
from workflows.incident_response.raised import start_p1
from workflows.incident_response.scaled import Scaled
from workflows.incident_response.surroundings import look
from workflows.platform import policies
from workflows.platform.approval import Answer, Question
from workflows.platform.clocks import Clock
from workflows.platform.described import described
from workflows.platform.lease import finally_do, shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import before_reset
from workflows.platform.run_status import Note
from workflows.platform.runbook import Runbook
from workflows.shared.continued import (
    HANDED_OVER,
    JOINED,
    TAKEN_IN,
    HandedOver,
    Joined,
    TakenIn,
    hands_over,
    open_incidents,
    p1_run_id,
    reach,
    tell,
)
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.one_a_service import require_its_id
from workflows.shared.shared_causes import RELATED, Related, SharedCauses

_TITLE = 200
_WATCH_ON, _RAISE = "watch", "raise"
_LONGEST_WATCH = 16
"""Times `watch_for`: four hours, so that an incident that nobody ends costs a few hundred events a day."""

Outcome = Literal["resolved", "closed", "raised", "taken in", "joined", "planned"]


class P2Request(ServiceRequest):
    """Start a P2 incident; everything has a default where the catalogue has one service."""

    title: Name | None = Field(default=None, description="What the incident is called.")
    commander: Name | None = Field(default=None, description="The on-call, where nobody is named.")
    mitigation: Literal["auto", "approve"] | None = Field(
        default=None, description="Overrides the service's policy for this run."
    )


class P2Result(BaseModel):
    """How the incident went."""

    incident_id: str = Field(description="Of the incident that goes on, where another one has it.")
    service: str
    outcome: Outcome
    reasons: list[Reason] = Field(default_factory=list, description="What the facts pointed to, in order.")
    fixes: list[Mitigation] = Field(default_factory=list)
    before: Figures = Figures()
    after: Figures = Figures()
    resolution: str = ""
    resolved_after: timedelta | None = Field(default=None, description="None in a plan: it resolved nothing.")
    evidence: list[str] = Field(default_factory=list)


@workflow.defn
class P2Incident(Runbook):
    """Acknowledge, assess, fix what is plain, watch, and resolve; what becomes worse goes on as P1."""

    SECTION = "2.3"

    def __init__(self) -> None:
        super().__init__()
        self.parts: P2Parts | None = None
        self._opened = False
        self._tried: list[Mitigation] = []
        self._reasons: list[Reason] = []
        self._before: Figures | None = None
        self._after = Figures()
        self._questions = 0
        self._alerts: list[Alert] = []
        self._ends = UnnamedEnds()
        self._over: set[str] = set()
        """Firings whose end was told."""

        self._closing: Closing | None = None
        self._raising = ""
        self._taken_in = ""
        self._hands_over = self._handed_over = False
        """Whether the run that takes it in is being told, and goes on with this very incident."""
        self._resolution = ""
        """Set as soon as the incident is being closed."""
        self._next_alert: Alert | None = None
        self._other = ""
        """The run that has the incident, where it isn't the service's P1."""
        self._handed_on: Outcome | None = None
        """Set as soon as another run has the incident, while this one only keeps what it has added."""
        self._listens = False
        """From when it is being handed on, whether what it hears goes to the other; a run from before this kept it."""
        self._asked_for: set[str] = set()
        """What people were asked already, and left to be watched."""
        self._rounds = 0

    @workflow.run
    async def run(self, request: P2Request) -> P2Result:
        """Follow 2.3 from the alert to its end.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        # A run that goes on as a new incident does everything anew: its effects are not those of the last.
        self.epoch = (workflow.info().continued_run_id or "")[:8]
        title = request.title or (request.alert.title if request.alert else None)
        service = await self.begin(request, title=title or "P2 incident", service=request.service, severity="P2")
        require_its_id(self, "p2-incident", request, service)
        if title is None:
            self.title = f"P2 incident on {service.name}"
        self.phase("0–5 min: acknowledge and assess")
        for other in await open_incidents(self, "2.3/1", service, ["P1", "P2"]):
            if self.dry_run:
                self.say("decision", f"would join {other.severity} {other.incident_id}, which is open")
            elif await tell(self, other, JOINED, Joined(what=self.title, who=self.actor, alert=request.alert)):
                return await self._joins(request, service, other)
        incident = HushedIncident(self, service, "P2", self.title, request.commander, acknowledging="2.3/1")
        scaled = Scaled(self, incident, service)
        self.parts = P2Parts(incident, scaled, SharedCauses(self, incident, "2.3/4"))
        if request.alert is not None:
            self._alerts.append(request.alert)
        self._start_clocks(service)
        try:
            outcome = await finally_do(self._respond(request, service), scaled.let_go)
            return await self._end(request, outcome)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish(self._handed_on or "cancelled")
                if self._handed_on is None:  # else another run looks after it, and pages for it
                    await asyncio.shield(asyncio.create_task(self.incident.abandon()))
            raise

    @property
    def incident(self) -> HushedIncident:
        """What the run is about: only from when there is one."""
        return self._parts.incident

    @property
    def _parts(self) -> P2Parts:
        assert self.parts is not None, "what comes before waits, or is refused"
        return self.parts

    async def _joins(self, request: P2Request, service: Service, other: OpenIncident) -> P2Result:
        """Leave the trouble to the incident that is open already: one incident a service, the worst leads."""
        self.say("decision", f"{other.severity} {other.incident_id} of {service.name} is open: this joins it")
        if request.alert is not None:
            acknowledge = AcknowledgeAlert(
                alert=request.alert,
                incident_id=other.incident_id,
                service=service.name,
                severity=other.severity,
                effect=self.effect("acknowledge"),
            )
            title = f"Acknowledge {request.alert.name} for {other.incident_id}"
            await self.keep("2.3/1", title, Records.acknowledge_alert, acknowledge)
        outcome: Outcome = "taken in" if other.severity == "P1" else "joined"
        if hands_over(self):
            # What else the webhook has for this run waits for it, and is the other's too.
            self._other, self._handed_on, self._listens = other.workflow_id, outcome, True
        await self.settle()
        self.finish(outcome)
        self._begin_again(request)
        return P2Result(
            incident_id=other.incident_id, service=service.name, outcome=outcome, resolved_after=self._elapsed
        )

    @property
    def _elapsed(self) -> timedelta:
        return workflow.now() - workflow.info().workflow_start_time

    def _start_clocks(self, service: Service) -> None:
        self.clocks.start("Acknowledged", service.incident.acknowledge_within, self._late)
        self.clocks.start("Assessed", service.degradation.assess_within, self._late)
        self.clocks.start("Well again", service.degradation.respond_within, self._late)

    async def _late(self, clock: Clock) -> None:
        # Another run has it, whose own clocks page.
        if self._handed_on is not None and hands_over(self):
            return
        await self.incident.escalate(f"deadline missed: {clock.name}")

    # -- the way through 2.3 -----------------------------------------------------------------------------

    async def _respond(self, request: P2Request, service: Service) -> Outcome:
        opened = self.background(self._open(request))
        auto = (request.mitigation or service.incident.mitigation) == "auto"
        fixed = await self._fixed_before()
        while not await self._is_over():
            facts = await self._assess(service)
            await opened
            self.background(self._parts.shared.look(facts.pods))
            since = request.alert.starts_at if request.alert is not None else self.incident.opened_at
            found = degraded(facts, service, set(self._tried), workflow.now(), since=since)
            if found.in_doubt and not workflow.patched("proven-releases"):
                found = degraded(facts, service, set(self._tried), workflow.now(), proven=False)
            if fixed:  # before a reset: what comes of it is seen first
                self._reasons.append(found.reason)
            else:
                await self._fix(found, service, auto=auto)
            fixed = False
            if self.dry_run:
                return "planned"
            watched = await self._watch(service)
            if self._ended or watched is None:
                continue
            if watched.verdict == "better":
                return await self._resolve(f"{self._done}; {watched.last}")
            # Whoever keeps a service stopped brings it back: that is no outage.
            if watched.verdict == "down" and self._reasons[-1] != "stopped" and not await self._is_stopped(service):
                self._raising = f"the service is down: {watched.why}"
        if self._closing is not None:
            return await self._close(self._closing)
        return await self._hand_on(request, service)

    async def _is_stopped(self, service: Service) -> bool:
        """Tell whether a run has stopped it since it was assessed; what is down is else an outage."""
        if not workflow.patched("looked-who-has-stopped-it"):
            return False
        where = Workload(namespace=service.namespace, deployment=service.deployment)
        state = await self.attempt("2.3/6", "Is it kept stopped", Kubernetes.deployment, where, policies.READ)
        lately = service.scaling.ready_within
        return state is not None and bool(state.stopped or state.brought_back(workflow.now(), lately))

    async def _fixed_before(self) -> bool:
        """Take up what the run did before somebody reset it, with what it holds; False where that was nothing."""
        self._tried = [done for done in get_args(Mitigation) if done in self.done_before]
        if "scale" in self._tried:
            scaling = await before_reset(self, "2.3/5", self.first_effect("scale"))
            if scaling is not None:
                await self._parts.scaled.to(scaling.asked(ScaleDeployment).replicas)
        return bool(self._tried)

    @property
    def _ended(self) -> bool:
        """Whether somebody has ended what this run has to do."""
        return bool(self._closing or self._raising or self._taken_in)

    async def _open(self, request: P2Request) -> None:
        await self.incident.begin(request.alert)
        self._opened = True

    async def _is_over(self) -> bool:
        """Tell that for good: a run that would take it in may have ended."""
        if self._hands_over:
            await workflow.wait_condition(lambda: not self._hands_over)
        return self._ended

    @property
    def _firing(self) -> list[Alert]:
        """Those alerts whose end nobody has told."""
        return [alert for alert in self._alerts if alert.episode not in self._over]

    @property
    def _done(self) -> str:
        words = {"scale": "Scaled up", "rollback": "Rolled back", "restart": "Restarted"}
        return ", ".join(words[fix] for fix in self._tried) or "No fix was needed"

    @property
    def _causes(self) -> str:
        return ", ".join(dict.fromkeys(reason.replace("_", " ") for reason in self._reasons)) or "not known"

    async def _assess(self, service: Service) -> DegradedFacts:
        """Read what is degraded, what the logs complain of, and what others have to do with it (steps 1 to 4)."""
        policy = service.degradation
        assessment = Assessment(self, service)
        patterns = ErrorPatternsRequest(namespace=service.namespace, selector=service.selector, since=policy.look_back)
        found, around, _ = await asyncio.gather(
            self.attempt("2.3/2", "Error patterns", ErrorLogs.error_patterns, patterns, policies.COLLECT),
            look(self, service),
            asyncio.gather(assessment.first, assessment.rest),
        )
        self._rounds += 1
        if self._rounds == 1:
            self.background(self._keep_evidence(service))
        facts = DegradedFacts(**dict(assessment.facts), patterns=found, surroundings=around)
        self._before = self._before or facts.figures
        self._after = facts.figures
        self.clocks.met("Assessed")
        return facts

    async def _keep_evidence(self, service: Service) -> None:
        """Keep logs and figures of the last half hour, with a picture (steps 2 and 3)."""
        policy, now = service.degradation, workflow.now()
        chart = ChartFigures(
            incident_id=self.incident.id,
            name="figures.svg",
            error_rate=service.metrics.error_rate,
            p95_latency=service.metrics.p95_latency,
            error_rate_limit=policy.error_rate_above,
            p95_latency_limit=policy.latency_above.total_seconds(),
            start=now - policy.look_back,
            end=now,
            effect=self.effect("figures"),
        )
        drawn, _, _ = await asyncio.gather(
            self.attempt("2.3/3", "Draw the figures", Evidence.chart_figures, chart, policies.COLLECT),
            self.incident.collect_logs("logs.txt", policy.look_back),
            self.incident.export_metrics(policy.look_back),
        )
        if drawn is not None:
            self.incident.evidence.append(drawn)

    async def _fix(self, found: Degradation, service: Service, *, auto: bool) -> None:
        """Choose among the common fixes, and do it (steps 4 and 5)."""
        self.phase("Fix")
        self._reasons.append(found.reason)
        self.say("decision", f"{found.reason.replace('_', ' ')}: {'; '.join(found.because)}", section="2.3/4")
        if found.reason in {"well", "stopped"} or self._ended:
            return
        if await self.incident.left_to_maintenance():
            return
        allowed = len(self._tried) < service.degradation.max_fixes
        chosen = found.first if found.clear and auto and allowed else await self._ask(found, service, allowed=allowed)
        if chosen is None or self._ended:
            return
        self._tried.append(chosen.mitigation)
        self.say("decision", f"Decided to {chosen.does}: {'; '.join(chosen.because) or 'chosen by people'}")
        if chosen.mitigation == "scale":
            change = await self._parts.scaled.to(chosen.replicas or 1)
        else:
            change = await mitigate(self, service, chosen)
        if change is not None and not self.dry_run:
            await self.incident.tell(f"fixed-{len(self._tried)}", f":wrench: Done: {chosen.does}. Being watched now.")

    async def _ask(self, found: Degradation, service: Service, *, allowed: bool) -> Proposal | None:
        """Ask for a fix; None goes on watching, which is what is done when nobody answers."""
        options = {p.mitigation: p.does for p in found.proposals} if allowed else {}
        asked = f"{found.reason}: {', '.join(options.values())}"
        if asked in self._asked_for:
            self.say("step", "People have been asked that already: watching on")
            return None
        self._asked_for.add(asked)
        self._questions += 1
        question = Question(
            id=f"fix-{self._questions}",
            title="Which fix?",
            options={
                **options,
                _WATCH_ON: "nothing automatic: watch on while people look into it",
                _RAISE: "raise it to P1",
            },
            recommended=found.first.mitigation if found.first and allowed else _WATCH_ON,
            default=_WATCH_ON,
            kind="mitigate",
            evidence=found.evidence,
            timeout=service.degradation.decision_timeout,
        )
        if self.dry_run:
            self.say("decision", f"would ask the commander to choose: {', '.join(question.options)}")
            return None
        self.background(self.incident.ask(question))
        answer: Answer = await self.ask(question, escalate=self.incident.escalate, until=lambda: self._ended)
        if answer.choice == _RAISE:
            self._raising = f"{answer.by} says so {answer.reason}".rstrip()
        return found.find(answer.choice)

    async def _watch(self, service: Service) -> DegradationWatched | None:
        """Watch against the limits (step 6), as long as nobody ends it; None when somebody has."""
        policy = service.degradation
        # After the fixes that there are, what is left is to wait: with fewer looks at everything.
        patience = min(2 ** max(self._rounds - service.degradation.max_fixes, 0), _LONGEST_WATCH)
        self.phase("Watch")
        watch = WatchDegradation(
            error_rate=service.metrics.error_rate,
            p95_latency=service.metrics.p95_latency,
            health_url=service.health_url,
            limits=limits(service),
            better_for=min(policy.better_for, policy.watch_for),
            down_for=policy.down_for,
            lasting=policy.watch_for * patience,
            every=policy.watch_every,
            ends_when_better=patience > 1,
        )
        lasting = policies.WAIT.lasting(watch.lasting + 2 * watch.better_for)
        watching = asyncio.create_task(self.attempt("2.3/6", "Watch", DegradationWatch.watch, watch, lasting))
        await workflow.wait_condition(lambda: watching.done() or self._ended)
        if not watching.done():
            await _called_off(watching)
            return None
        watched = watching.result()
        if watched is not None:
            self._after = watched.last
        return watched

    # -- the ways out ------------------------------------------------------------------------------------

    async def _resolve(self, resolution: str) -> Outcome:
        """Document and close (step 7)."""
        self.phase("Resolve")
        self.clocks.met("Well again")
        notes = self._resolution = f"{resolution} (before: {self._before})"
        await asyncio.gather(
            *(self._resolve_alert(alert, notes) for alert in self._alerts),
            self.incident.close(self.actor, notes, self._causes, publish=False),
        )
        return "resolved"

    async def _resolve_alert(self, alert: Alert, notes: str) -> None:
        resolve = ResolveAlert(
            source=alert.source,
            fingerprint=alert.fingerprint,
            starts_at=alert.starts_at,
            resolved_at=workflow.now(),
            notes=notes[:2000],
            effect=self.effect("resolve-alert"),
        )
        await self.keep("2.3/7", f"Resolve {alert.name}", Records.resolve_alert, resolve)

    async def _close(self, closing: Closing) -> Outcome:
        self.phase("Resolve")
        self._resolution = closing.resolution
        self.say("decision", f"Closed: {closing.resolution}", who=f"{closing.who} ({closing.role})")
        await self.incident.close(closing.who, closing.resolution, closing.root_cause, publish=False)
        return "closed"

    async def _hand_on(self, request: P2Request, service: Service) -> Outcome:
        """Leave the incident to a P1, which goes on with it or has taken it in; what was scaled is held on."""
        self.phase("Handed on")
        self._listens = workflow.patched("handed-on-listens")
        if not self._taken_in:
            self.say("decision", f"Raised to P1: {self._raising}")
            self._resolution = self._raising
            await self._to_its_end(self._raise(request, service))
        if self._taken_in and not self._handed_over:
            self._resolution = f"Taken in by {self._taken_in}. {self._done}"
            self._handed_on = "taken in" if self._listens else None
            closing = self.incident.close(self.actor, self._resolution, self._causes, publish=False)
            await self._to_its_end(closing)
        await self._parts.scaled.hold_on()
        return "taken in" if self._taken_in else "raised"

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it though the run is cancelled meanwhile: nothing may be left that two runs have, or none."""
        await (shielded(work) if self._listens else work)

    async def _raise(self, request: P2Request, service: Service) -> None:
        """Start the P1 that goes on with this incident; where one runs already, it has it."""
        go_on = P1Request(
            service=service.name,
            title=self.title[:_TITLE],
            commander=self.incident.commander or None,
            alert=request.alert,
            joined=[alert for alert in self._firing if alert != request.alert],
            requested_by=self.actor,
            continues=self.incident.so_far(self._raising[:2000]),
        )
        if not await start_p1(self, "2.3", go_on, service.name):
            self.say("decision", f"{service.name} has a P1 already, which takes this in")
            running = await open_incidents(self, "2.3", service, ["P1"])
            self._taken_in = running[0].incident_id if running else p1_run_id(service.name)
        elif self._listens:
            self._handed_on = "raised"

    async def _end(self, request: P2Request, outcome: Outcome) -> P2Result:
        self.clocks.stop()
        await self.settle()
        self.finish(outcome)
        self._begin_again(request)
        return P2Result(
            incident_id=self._taken_in or self.incident.id,
            service=self.incident.service.name,
            outcome=outcome,
            reasons=self._reasons,
            fixes=self._tried,
            before=self._before or Figures(),
            after=self._after,
            resolution=self._resolution,
            resolved_after=self._elapsed,
            # A plan has written nothing and resolved nothing.
            evidence=[] if self.dry_run else [item.uri for item in self.incident.evidence],
        )

    def _begin_again(self, request: P2Request) -> None:
        """Go on as a new incident, under the same workflow ID, where an alert has fired while this one was ending."""
        if self._next_alert is not None:
            following = request.model_copy(update={"alert": self._next_alert, "title": None})
            workflow.continue_as_new(following, memo=self.handed_on)

    # -- what people, alerts and other runs send ---------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take another firing, which joins this incident, or the end of one."""
        await self._begun()
        if self._hands_over:
            await workflow.wait_condition(lambda: not self._hands_over)
        if self._listens:
            await workflow.wait_condition(lambda: self._handed_on is not None)
            await self._pass_on(alert)
        elif alert.status == "resolved":
            self.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
            self._ends.add(alert)
            ended = named_end(alert, self._alerts)
            self._over.add(ended.episode)
            await self.incident.alert_resolved(ended)
        elif self.has_taken(alert) or was_over(self, alert, self._ends):
            return
        elif self._resolution:
            self.say("signal", f"{alert.name} fires while this incident is being closed: a new incident follows")
            self._next_alert = alert
        else:
            self.say("signal", f"{alert.name} fires: joins this incident")
            self.took(alert)
            self._alerts.append(alert)
            await self.incident.acknowledge(alert)

    async def _pass_on(self, alert: Alert) -> None:
        """Give news to the run that has the incident; where that has ended, a firing begins a new one at once."""
        ends = alert.status == "resolved"
        if not ends and self.has_taken(alert):
            return
        if not ends:
            self.took(alert)
        assert self.service is not None
        other = self._other or p1_run_id(self.service.name)
        if await reach(other, "alert", alert):
            self.say("signal", f"{alert.name} {'has resolved' if ends else 'fires'}: told to {self._named(other)}")
        elif not ends:
            self.say("signal", f"{alert.name} fires, and {self._named(other)} has ended: a new incident follows")
            self._next_alert = alert
            if not self._other:
                self._parts.scaled.hold_no_longer("a new incident")
        elif not self._other:
            await self.incident.alert_resolved(named_end(alert, self._alerts))

    async def _begun(self) -> bool:
        """Wait until there is an incident; False where another run has it from the beginning on."""
        await workflow.wait_condition(lambda: self.parts is not None or self._handed_on is not None)
        return self.parts is not None

    def _named(self, other: str) -> str:
        return "the P1" if other == p1_run_id(self.service.name if self.service else "") else other

    @workflow.signal(
        name=RELATED,
        description="A service that shares something with this one has an incident too.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def related(self, other: Related) -> None:
        """Show it to the commander; the cause may be one."""
        if await self._begun():
            await self._parts.shared.link(other)

    @workflow.signal(
        name=JOINED,
        description="Another run has met the same trouble, and leaves it to this one.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def joined(self, joined: Joined) -> None:
        """Note who else has met it."""
        if not await self._begun():
            await reach(self._other, JOINED, joined)
            return
        self.say("signal", f"{joined.what}, by {joined.who or 'somebody'}: joins this incident")
        if joined.alert is not None:
            self.took(joined.alert)
            self._alerts.append(joined.alert)
        if joined.severity == "P1" and not self._resolution:
            self._raising = self._raising or joined.what

    @workflow.signal(
        name=TAKEN_IN,
        description="A P1 of the same service takes this incident in.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def taken_in(self, by: TakenIn) -> None:
        """Leave the incident to a more severe one, or to a run that goes on with it."""
        if by.workflow_id:
            await self._hand_over(by)
        elif not self._resolution and self._closing is None:
            self.say("signal", f"{by.incident_id} takes this incident in")
            self._taken_in = self._taken_in or by.incident_id

    async def _hand_over(self, by: TakenIn) -> None:
        """Give a P1 the incident, unless it is ending; where that run has ended, this one goes on."""
        await workflow.wait_condition(lambda: self._opened or self._handed_on is not None)
        if self._resolution or self._ended or self._handed_on is not None:
            await reach(by.workflow_id, HANDED_OVER, HandedOver(so_far=None))
            return
        # Nothing else ends it while the other is being told.
        self._hands_over, self._taken_in = True, self.incident.id
        self._resolution = f"Goes on as P1: {by.why or by.workflow_id}. {self._done}"[:2000]
        handed = HandedOver(so_far=self.incident.so_far(by.why or "a P1 of the service"), alerts=self._firing)
        if await reach(by.workflow_id, HANDED_OVER, handed):
            self.say("decision", f"Handed over to {by.workflow_id}, which goes on with {self.incident.id} as P1")
            self._handed_over, self._listens, self._handed_on = True, True, "taken in"
        else:
            self.say("problem", f"{by.workflow_id} would take this in, and has ended: it stays here")
            self._taken_in, self._resolution = "", ""
        self._hands_over = False

    @workflow.update(
        name="close",
        description=described(
            "Close the incident: resolution and root cause.",
            Closing,
            "commander",
            resolution="Two more replicas",
            root_cause="more traffic than usual",
        ),
    )
    async def close(self, closing: Closing) -> str:
        """Take the closing of a person who may."""
        if self._closing is None:
            self._closing = closing
        return f"{self.incident.id} is being closed"

    @close.validator
    def _check_closing(self, closing: Closing) -> None:
        self.approvals.authorise(closing, "close")
        self._check_open()

    @workflow.update(
        name="raise",
        description=described("Raise the incident to P1: say why.", Raise, "commander", reason="orders are lost"),
    )
    async def raise_to_p1(self, word: Raise) -> str:
        """Take the word of a person who says that it is an outage."""
        self.say("decision", f"Raise to P1: {word.reason}", who=f"{word.who} ({word.role})")
        self._raising = self._raising or word.reason
        return f"{self.incident.id} is being raised to P1"

    @raise_to_p1.validator
    def _check_raising(self, word: Raise) -> None:
        self.approvals.authorise(word, "mitigate")
        self._check_open()

    def _check_open(self) -> None:
        if self.parts is None or self._ended or self.outcome:
            raise Refused(f"the incident is being brought to its end, the run is at: {self.timeline.phase}")

    async def noted(self, note: Note) -> None:
        """Keep remarks in the incident's record too (step 7)."""
        if await self._begun():
            await self.incident.note(f"{note.who} ({note.role})", note.text)


async def _called_off(task: "asyncio.Task[Any]") -> None:
    """Cancel a step that isn't needed any more, and wait until it has ended."""
    task.cancel()
    try:
        await task
    except BaseException as error:
        if not is_cancelled_exception(error):
            raise
