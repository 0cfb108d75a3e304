"""P1 incident response (runbook 2.2): from an alert to a closed incident.

The phases are clocks, not waits: work goes on as fast as the facts allow, and a deadline that is missed escalates once.
"""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, get_args

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Mitigation, Service
from activities.common.errors import JustStarting, Refused
from activities.common.text import Name
from activities.kubernetes.cluster import AwaitRollout, Kubernetes
from activities.kubernetes.states import Pods
from activities.monitoring.health import HealthChecks, HealthRequest, SteadyRequest
from activities.records.activities import Records
from activities.records.alerts import Alert
from activities.records.deployments import RecordDeployment
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.command import Declined, HandBack, TakeOver
from workflows.incident_response.diagnosis import Diagnosis, Facts, Proposal, diagnose
from workflows.incident_response.incident_parts import P1Parts
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.joined_alerts import JoinedAlerts, News, UnnamedEnds, batched, named, was_over
from workflows.incident_response.mitigation import mitigate, question
from workflows.incident_response.situations import Reason
from workflows.incident_response.surroundings import Surroundings, look
from workflows.incident_response.watch import Watch
from workflows.platform import policies
from workflows.platform.clocks import Clock, Lapse
from workflows.platform.described import described
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import Note
from workflows.platform.runbook import Runbook
from workflows.shared.continued import (
    HANDED_OVER,
    JOINED,
    TAKEN_IN,
    HandedOver,
    IncidentSoFar,
    Joined,
    TakenIn,
    hands_over,
    open_incidents,
    tell,
)
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.one_a_service import require_its_id
from workflows.shared.shared_causes import RELATED, Related, SharedCauses, knows_others

_SHORTEST_ROUND = timedelta(seconds=10)
"""A round of looking that did nothing and was over sooner is followed by a pause."""
_HANDED_OVER_WITHIN = timedelta(seconds=15)
"""For the answer of an open P2, which comes at once: a little more than it takes Temporal to give a run to another
worker, where its own has died (10 s). No outage waits longer."""
_AT_ONCE = 50
"""Alerts that are recorded at a time."""


class P1Request(ServiceRequest):
    """Start a P1 incident; everything has a default where the catalogue has one service."""

    title: Name | None = Field(default=None, description="What the incident is called.")
    commander: Name | None = Field(default=None, description="The on-call, where nobody is named.")
    mitigation: Literal["auto", "approve"] | None = Field(
        default=None, description="Overrides the service's policy for this run."
    )
    continues: IncidentSoFar | None = Field(
        default=None, description="The P2 incident that has become worse; set by its run."
    )
    joined: list[Alert] = Field(default=[], description="Further alerts of the same trouble; set by the run before.")


class P1Result(BaseModel):
    """How the incident went."""

    incident_id: str
    service: str
    outcome: Literal["closed", "planned"]
    mitigations: list[Mitigation]
    reasons: list[Reason] = Field(default=[], description="What the facts pointed to, in order.")
    resolution: str = ""
    root_cause: str = ""
    acknowledged_after: timedelta | None = None
    mitigated_after: timedelta | None = Field(default=None, description="For good: what didn't hold is in `lapses`.")
    lapses: list[Lapse] = Field(default=[], description="When it was mitigated, and unhealthy again.")
    healthy: bool | None = Field(default=None, description="As the service said when people closed it; None: unknown.")
    resolved_after: timedelta | None = Field(default=None, description="None in a plan: it resolved nothing.")
    evidence: list[str]


@workflow.defn
class P1Incident(Runbook):
    """Assess, mitigate, verify, inform, collect evidence, and wait for a person to close."""

    SECTION = "2.2"

    def __init__(self) -> None:
        super().__init__()
        self.parts: P1Parts | None = None
        self._tried: list[Mitigation] = []
        self._reasons: list[Reason] = []
        self._rounds = 0
        self._left_to = ""
        self._opened = False
        self._asks_p2 = False
        self._handed: HandedOver | None = None
        """What an open P2 has answered."""
        self._assessed = False
        self._pods = Pods(items=[])
        self._today = False
        """Whether it began under today's rules: one incident a service, what was mitigated can be lost, nothing public
        of a false alarm."""

        self._told_to_close = False
        """Whether the message of a restored service has said that it can be closed."""

        self._unwell_since: datetime | None = None
        """When the outage began, by the alert that began the run."""

        self._was_unwell = False
        """Whether anything but an alert has said so, since people were told of it last."""

        self._declined = Declined()
        self._changed_hands = False
        self._joined = JoinedAlerts()
        self._ends = UnnamedEnds()
        self._resolutions = 0
        self._fired_again = False
        self._next_alerts: list[Alert] = []
        self._closing: Closing | None = None
        self._healthy: bool | None = None
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
        self._today = workflow.patched("one-incident-a-service")
        title = request.title or (request.alert.title if request.alert else None)
        service = await self.begin(request, title=title or "P1 incident", service=request.service, severity="P1")
        require_its_id(self, "p1-incident", request, service)
        if title is None:
            self.title = f"P1 incident on {service.name}"
        # Of a run that was reset: what it has done is neither tried again nor left out of what it tells.
        self._tried = [done for done in get_args(Mitigation) if done in self.done_before]
        self._was_unwell = bool(self._tried)
        so_far = request.continues or await self._p2_so_far(request, service)
        incident = HushedIncident(self, service, "P1", self.title, request.commander, so_far=so_far)
        shared = SharedCauses(self, incident, "2.2/5")
        self.parts = P1Parts(incident, shared, Watch(self, service, self._has_news))
        self._start_clocks(service)
        if request.alert is not None:
            self._unwell_since = request.alert.starts_at
            self._joined.fires(request.alert)
        try:
            if joined := [*request.joined, *(self._handed.alerts if self._handed else [])]:
                self.background(self.alerts(joined))
            return await self._respond(request, service)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
                await asyncio.shield(asyncio.create_task(self.incident.abandon()))
            raise

    @property
    def incident(self) -> HushedIncident:
        """What the run is about: only from when it is ready."""
        return self._parts.incident

    @property
    def _parts(self) -> P1Parts:
        assert self.parts is not None, "what comes before waits, or is refused"
        return self.parts

    async def _respond(self, request: P1Request, service: Service) -> P1Result:
        self.phase("0 min: alert received")
        opened = self.background(self.incident.begin(request.alert))
        # Runs that know of windows know of this too; see `HushedIncident` for why it isn't `patched`.
        if not self.dry_run and self.looks_at_windows:
            self.background(self._take_in(service, opened))
        first = True
        while True:
            await self._restore(request, service)
            await opened
            if self._closing is not None:
                break
            if first or self._was_unwell or not self._today:
                await self._stabilise(service)
                await self._investigate(service)
            else:
                self.phase("30+ min: root cause investigation")
            first = False
            if self.dry_run:
                return await self._end(request, "planned")
            if await self._wait_for_closing(service):
                break
        await self._resolve()
        return await self._end(request, "closed")

    async def _p2_so_far(self, request: P1Request, service: Service) -> IncidentSoFar | None:
        """Go on with the incident of an open P2 of the service: its number, thread, pages and evidence (2.3)."""
        if self.dry_run or not hands_over(self):
            return None
        try:
            # A P2 that has handed its incident over has let go of it: a cancellation waits for that.
            await shielded(self._ask_p2(service))
        except asyncio.CancelledError:
            self.finish("cancelled")
            if self._handed is not None and self._handed.so_far is not None:
                left = HushedIncident(self, service, "P1", self.title, request.commander, so_far=self._handed.so_far)
                await asyncio.shield(asyncio.create_task(left.abandon()))
            raise
        return self._handed.so_far if self._handed else None

    async def _ask_p2(self, service: Service) -> None:
        self._asks_p2 = True
        for other in await open_incidents(self, "2.2/2", service, ["P2"], policies.GLANCE):
            ask = TakenIn(incident_id=other.incident_id, workflow_id=workflow.info().workflow_id, why=self.title)
            if not await tell(self, other, TAKEN_IN, ask):
                continue
            try:
                await workflow.wait_condition(
                    lambda: self._handed is not None,
                    timeout=_HANDED_OVER_WITHIN,
                    timeout_summary=f"{other.incident_id} being handed over",
                )
            except TimeoutError:
                self.say("problem", f"{other.incident_id} was not handed over in time: this opens one of its own")
            break
        self._asks_p2 = False

    async def _take_in(self, service: Service, opened: "asyncio.Task[None]") -> None:
        """Take in what P2 has been opened beside this; find the incidents of services that share a cause."""
        await opened
        self._opened = True
        for other in await open_incidents(self, "2.2/2", service, ["P2"]):
            if other.incident_id != self.incident.id and await tell(
                self, other, TAKEN_IN, TakenIn(incident_id=self.incident.id)
            ):
                self.say("decision", f"Takes {other.severity} {other.incident_id} in: {other.title}")
        if knows_others(self):
            await workflow.wait_condition(lambda: self._assessed)
            await self._parts.shared.look(self._pods)

    def _start_clocks(self, service: Service) -> None:
        policy = service.incident
        self.clocks.start("Acknowledged", policy.acknowledge_within, self._late)
        self.clocks.start("Assessed", policy.assess_within, self._late)
        self.clocks.start("Mitigated", policy.mitigate_within, self._late)
        self.clocks.start("Stable", policy.stabilise_within, self._late)

    async def _late(self, clock: Clock) -> None:
        """Escalate a missed deadline, once; the public hears of an outage that lasts."""
        await self.incident.escalate(f"deadline missed: {clock.name}")
        if clock.name == "Mitigated" and not self.incident.held_by:
            await self.incident.status_page("2.2/7", "Investigating", "We are investigating an outage.")

    # -- 0–15 minutes: assess and mitigate ---------------------------------------------------------------

    async def _restore(self, request: P1Request, service: Service) -> None:
        """Bring health back: assess, choose, act, verify; never the same twice, and not once people have closed.

        While a person has it, and after one has said no to all that is proposed, the run only looks on.
        """
        auto = (request.mitigation or service.incident.mitigation) == "auto"
        while True:
            began, tried = workflow.now(), len(self._tried)
            diagnosis = await self._assess(service)
            if self._closing is not None:
                return
            if diagnosis.healthy:
                self.say("step", "The service says it is healthy: nothing to mitigate")
            else:
                self._was_unwell = True
                if diagnosis.down and self._today:
                    self._relapsed(service)
                await self._mitigate(diagnosis, service, auto=auto)
            if self.dry_run or self._closing is not None:
                return
            if self._today:
                self._fired_again = False  # what fires from here on may be news to the verification
            by_people = self.incident.held_by or (self._declined and not diagnosis.healthy)
            if await (self._look_on(service) if by_people else self._verify(service)):
                self._declined.forget()
                return
            # A look at health that lasts for minutes is between two rounds; where it can't be had, they race.
            raced = workflow.now() - began < _SHORTEST_ROUND and len(self._tried) == tried and not self._has_news()
            if raced and workflow.patched("rounds-do-not-race"):
                await self._parts.watch.pause(service.incident.reminder)

    async def _assess(self, service: Service) -> Diagnosis:
        """Read what is broken and what changed (steps 3 to 5); decide as soon as it is clear."""
        self.phase("0–5 min: initial assessment")
        assessment = Assessment(self, service)
        await assessment.first
        diagnosis = self._diagnose(assessment.facts, service)
        around = await self._look_around(diagnosis, service)
        if around is not None:
            diagnosis = self._diagnose(assessment.facts, service, around)
        if not diagnosis.clear:
            await assessment.rest
            diagnosis = self._diagnose(assessment.facts, service, around)
        self.clocks.met("Assessed")
        if knows_others(self):
            self._points_to(diagnosis, service)
            self._pods, self._assessed = assessment.facts.pods or Pods(items=[]), True
            if self._opened:
                self.background(self._parts.shared.look(self._pods))
        return diagnosis

    async def _look_around(self, diagnosis: Diagnosis, service: Service) -> Surroundings | None:
        """Look at what the service needs of others, before anything of ours is held responsible (step 5)."""
        needs = bool(service.degradation.dependencies) or service.database is not None
        if not knows_others(self) or not needs or diagnosis.healthy or diagnosis.left_to:
            return None
        return await look(self, service, "2.2/5")

    def _diagnose(self, facts: Facts, service: Service, around: Surroundings | None = None) -> Diagnosis:
        judge = partial(
            diagnose,
            facts,
            service.incident,
            set(self._tried),
            workflow.now(),
            container=service.container,
            around=around,
            connections_above=service.degradation.connections_above,
            as_before=not knows_others(self),
            starting=service.scaling.ready_within,
        )
        found = judge(since=self._unwell_since or self.incident.opened_at)
        if found.in_doubt and not workflow.patched("proven-releases"):
            return judge(proven=False)
        return found

    def _points_to(self, found: Diagnosis, service: Service) -> None:
        """Say what it points to, by its name, where that is another thing than before; and what mends it."""
        if found.healthy or found.left_to or found.reason in self._reasons[-1:]:
            return
        self._reasons.append(found.reason)
        why = "; ".join(found.because) or "nothing else is to be seen"
        points = f"It points to {found.reason.replace('_', ' ')} ({found.certainty}): {why}"
        self.say("decision", points, section="2.2/5")
        if found.mended_by:
            held = "Nothing is restarted or rolled back by itself. " if found.not_ours else ""
            text = f":mag: {service.name}: {points}. {held}What mends it: {found.mended_by}"
            self.background(self.incident.tell("points-to", text))

    async def _mitigate(self, diagnosis: Diagnosis, service: Service, *, auto: bool) -> None:
        """Choose between A, B and C, and do it."""
        self.phase("5–15 min: initial mitigation")
        if await self.incident.left_to_maintenance():
            return
        if diagnosis.left_to:
            await self._leave(diagnosis.left_to, diagnosis.because[0])
            return
        if self.incident.held_by:
            self.say("decision", f"Left to {self.incident.held_by}, who has it: watching for health")
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
            service=service.name,
            version=chosen.from_version,
            status="rolled_back",
            at=workflow.now(),
            deployer=self.actor,
            revision=chosen.from_revision,
            release=chosen.from_release,
            reason=f"{self.incident.id}: {'; '.join(chosen.because) or 'chosen by people'}"[:2000],
            effect=self.effect("record-rollback"),
        )
        await self.keep("2.2/A", "Record the rollback", Records.record_deployment, record)

    async def _leave(self, to: str, why: str) -> None:
        """Mitigate nothing: another run has stopped the service on purpose, and brings it back."""
        if to == self._left_to:
            return
        self._left_to = to
        self.say("decision", f"{why[0].upper()}{why[1:]}: that run brings it back. Watching for health")
        await self.incident.tell("left", f":hourglass: nothing is mitigated: {why}")

    async def _choose(self, diagnosis: Diagnosis, service: Service, *, auto: bool) -> Proposal | None:
        """Decide by the facts where they are clear and policy allows it, else ask; None is left to people."""
        first = diagnosis.first
        allowed = len(self._tried) < service.incident.max_mitigations
        if first is not None and diagnosis.clear and auto and allowed and not self._declined:
            self.say("decision", f"Decided to {first.does}: {'; '.join(first.because)}")
            return first
        asked = question(self._rounds + 1, diagnosis, service, allowed=allowed)
        if self.dry_run:
            self.say("decision", f"would ask the commander to choose: {', '.join(asked.options)}")
            return None
        if self._declined.covers(asked):
            return None
        self._rounds += 1
        self.background(self.incident.ask(asked))
        resolutions = self._resolutions
        answer = await self.ask(
            asked,
            escalate=self.incident.escalate,
            until=lambda: self._resolutions > resolutions or self._closing is not None or bool(self.incident.held_by),
        )
        if self._closing is not None or self.incident.held_by:
            # Whoever closes, or takes over, has said what is to be done: nothing, whatever the question's default is.
            return None
        chosen = diagnosis.find(answer.choice)
        nobodys = chosen is not None and diagnosis.down and asked.id not in self.approvals.answers
        if nobodys and workflow.patched("looked-again-before-the-default"):
            healthy = await self._parts.watch.healthy()
            if healthy:
                by_now = f"{service.name} is healthy by now: {answer.choice} is not done, since nobody has asked for it"
                self.say("decision", by_now)
                return None
        if self._today and asked.id in self.approvals.answers:
            self._declined.forget()
            if chosen is None:
                self._declined.say(asked)
        return chosen

    # -- 15–30 minutes: stabilise ------------------------------------------------------------------------

    async def _verify(self, service: Service) -> bool:
        """Wait for the rollout, then for health that holds (step 6)."""
        policy = service.incident
        lasting = policies.WAIT.lasting(policy.verify_timeout)
        await self.attempt(
            "2.2/6",
            "Rollout",
            Kubernetes.await_rollout,
            AwaitRollout(namespace=service.namespace, deployment=service.deployment, timeout=policy.verify_timeout),
            lasting,
        )
        health = await self.attempt(
            "2.2/6", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ
        )
        # One good answer may be a blip: what counts is health that holds. Runs from before counted the answer.
        if health is not None and health.healthy and not workflow.patched("mitigated-when-steady"):
            self._mitigated()
        steady = await self.attempt(
            "2.2/6",
            "Steady health",
            HealthChecks.steady,
            SteadyRequest(
                url=service.health_url,
                steady_for=policy.steady_for,
                give_up_after=policy.steady_for + policy.verify_timeout,
            ),
            policies.WAIT.lasting(policy.steady_for + policy.verify_timeout),
        )
        if steady is None or not steady.steady:
            return False
        self._mitigated()
        return True

    async def _look_on(self, service: Service) -> bool:
        """Only look, and remind; True once health holds, False where there may be something to do."""
        every, self._changed_hands = service.incident.reminder, False
        remind_at = workflow.now() + every
        while not self._has_news():
            if await self._parts.watch.healthy():
                return await self._verify(service)
            if workflow.now() < remind_at:
                await self._parts.watch.pause(remind_at - workflow.now())
            elif held := self.incident.held_by:
                remind_at = workflow.now() + every
                text = f":alarm_clock: {held} has {self.incident.id}; {service.name} is not healthy yet"
                await self.incident.tell("yours", f"{text}. `runbooks hand-back` gives it back")
            else:
                return False  # perhaps something else is proposed by now
        return False

    def _has_news(self) -> bool:
        return self._closing is not None or self._fired_again or self._changed_hands

    def _relapsed(self, service: Service) -> None:
        """Take back what was reached and doesn't hold; told and recorded, and its clocks run anew."""
        policy = service.incident
        lapse = self.clocks.lost("Mitigated", policy.mitigate_within, self._late)
        if lapse is None:
            return
        self.clocks.lost("Stable", policy.stabilise_within, self._late)
        self._declined.forget()
        self._parts.watch.anew()
        self.background(self.incident.relapsed(lapse.met_at, lapse.lost_at))

    def _mitigated(self) -> None:
        if self.clocks.met("Mitigated"):
            self.background(self.incident.reached("mitigated"))

    async def _stabilise(self, service: Service) -> None:
        """Tell the public and the stakeholders (steps 7 and 8), unless it was a false alarm or a person speaks."""
        self.phase("15–30 min: stabilisation")
        if not self.dry_run:
            self.clocks.met("Stable")
        false_alarm = self._today and not self._was_unwell
        self._was_unwell = False
        if false_alarm:
            text = f"{service.name} says it is healthy: nothing was done, and nobody outside was told. Investigating."
        else:
            done = f"{', '.join(self._tried)} done" if self._tried else "no mitigation was needed"
            text = f"{service.name} is healthy again ({done}). Investigating."
        # One message says both, so that an incident that comes back has no more of them than people read.
        self._told_to_close = workflow.patched("told-to-close-with-restored")
        if self._told_to_close:
            text += f" {self.incident.id} can be closed when the cause is known: `runbooks close`"
        told = [self.incident.tell("restored", f":large_green_circle: {text}")]
        if not false_alarm and not self.incident.held_by:
            told = [
                self.incident.status_page("2.2/7", "Identified", "Issue identified, implementing fix"),
                self.incident.notify_stakeholders(
                    "P1 incident in progress, service restored, investigating root cause"
                ),
                *told,
            ]
        await asyncio.gather(self.incident.reached("stable"), *told)

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
        """Wait for a person to close, reminding; False when an alert has fired, or health doesn't hold."""
        if not self._today:
            self._fired_again = False
        self.wait_for("close")
        if not self._told_to_close:
            await self.incident.tell(
                "closable", f":ballot_box_with_check: {self.incident.id} can be closed: `runbooks close`"
            )
        if self._today:
            await self._watch_until_closed(service)
        while self._closing is None and not self._fired_again and not self._today:
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

    async def _watch_until_closed(self, service: Service) -> None:
        """Remind of closing, and look whether health still holds; ends when there is something to do."""
        every = service.incident.close_reminder
        remind_at = workflow.now() + every
        self._parts.watch.anew()
        while self._closing is None and not self._fired_again:
            self._changed_hands = False
            if workflow.now() >= remind_at:
                remind_at = workflow.now() + every
                await self.incident.tell("reminder", f":alarm_clock: {self.incident.id} is still open")
            elif (
                await self._parts.watch.pause(remind_at - workflow.now()) and await self._parts.watch.healthy() is False
            ):
                self.say("problem", f"{service.name} is not healthy any more: looking again")
                return

    # -- resolution --------------------------------------------------------------------------------------

    async def _resolve(self) -> None:
        """Close, tell, schedule the post-mortem (steps 12 to 14)."""
        self.phase("Resolution")
        closing = self._closing
        assert closing is not None
        self.say("decision", f"Closed: {closing.resolution}", who=f"{closing.who} ({closing.role})")
        if self._unwell:
            self.say("problem", f"Closed although {self.incident.service.name} is not healthy: {self._unwell}")
        await self.incident.close(
            closing.who,
            closing.resolution,
            closing.root_cause,
            unwell=self._unwell,
            publish=self.incident.published or not self._today,
        )
        await self.incident.schedule_post_mortem(closing.resolution, closing.root_cause)

    async def _end(self, request: P1Request, outcome: Literal["closed", "planned"]) -> P1Result:
        self.clocks.stop()
        await self.settle()
        self.finish(f"{outcome}, not healthy" if self._unwell else outcome)
        if self._next_alerts:
            # They fired while this incident was being closed: that is a new incident, under the same workflow ID.
            first, *others = self._next_alerts
            following = request.model_copy(update={"alert": first, "joined": others, "title": None, "continues": None})
            workflow.continue_as_new(following, memo=self.handed_on)
        return P1Result(
            incident_id=self.incident.id,
            service=self.incident.service.name,
            outcome=outcome,
            mitigations=self._tried,
            reasons=self._reasons,
            resolution=self._closing.resolution if self._closing else "",
            root_cause=self._closing.root_cause if self._closing else "",
            acknowledged_after=self.clocks.took("Acknowledged"),
            mitigated_after=self.clocks.took("Mitigated"),
            lapses=self.clocks["Mitigated"].lapses,
            healthy=self._healthy,
            resolved_after=None if self.dry_run else workflow.now() - workflow.info().workflow_start_time,
            # A plan has written nothing and resolved nothing.
            evidence=[] if self.dry_run else [item.uri for item in self.incident.evidence],
        )

    def board(self) -> str:
        """Show who has it."""
        held = self.parts.incident.held_by if self.parts else ""
        return f"**{held} has it**: the run only watches, records and reminds" if held else ""

    # -- what people and alerts send ---------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take an alert firing (it joins this incident) or resolving."""
        await self.alerts([alert])

    @workflow.signal(
        name="alerts",
        description="Firings and their ends that one post has for this run, in order, from the webhook.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alerts(self, alerts: list[Alert]) -> None:
        """Take the alerts of one post; what they change counts at once, what is recorded of it follows."""
        await workflow.wait_condition(lambda: self.parts is not None)
        news = News()
        for alert in alerts:
            if alert.status == "resolved":
                self._ended(alert, news)
            else:
                self._fires(alert, news)
        self.took(*news.joined)
        if news.joined and self._today:
            self.background(self.incident.tell("joined", f":link: joins {self.incident.id}: {news}"))
        # A storm may have thousands, and Temporal lets a run have two thousand steps in flight.
        for some in batched(news.joined, _AT_ONCE):
            await asyncio.gather(*(self.incident.acknowledge(alert) for alert in some))
        for some in batched(news.ended, _AT_ONCE):
            await asyncio.gather(*(self.incident.alert_resolved(alert) for alert in some))

    def _fires(self, alert: Alert, news: News) -> None:
        if was_over(self, alert, self._ends):
            self._joined.ends(alert)
            return
        if not self._joined.fires(alert):
            return
        if self._closing is not None:
            self.say("signal", f"{alert.name} fires again while this incident is being closed: a new incident follows")
            self._next_alerts.append(alert)
            return
        self.say("signal", f"{named([alert])} fires: joins this incident")
        news.joined.append(alert)
        self._fired_again = True

    def _ended(self, alert: Alert, news: News) -> None:
        """Take an end; that a trouble is over is said by the last of its alerts, and not by the first."""
        self._ends.add(alert)
        if alert.key or (alert.of_whichever and workflow.patched("ends-whichever")):
            alert = self._joined.named(alert)
        self._next_alerts = [one for one in self._next_alerts if one.episode != alert.episode]
        ours = self._joined.ends(alert)
        if self._today and not ours:
            return
        left = self._joined.firing
        still = f"; still firing: {named(left)}" if left else ""
        self.say("signal", f"{named([alert])} has resolved by itself, says {alert.source}{still}")
        if not left or not self._today:
            self._resolutions += 1
        news.ended.append(alert)

    @workflow.signal(
        name=JOINED,
        description="A less severe run has met the same trouble, and leaves it to this one.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def joined(self, joined: Joined) -> None:
        """Note what else was met; it is part of this incident."""
        await workflow.wait_condition(lambda: self.parts is not None)
        self.say("signal", f"{joined.what}, by {joined.who or 'somebody'}: joins this incident")
        # Who found it down has seen what an alert would tell: a run that waits to be closed looks again.
        self._fired_again = self._fired_again or joined.severity == "P1"

    @workflow.signal(
        name=HANDED_OVER,
        description="A P2 of the same service hands its incident over, or says that it can't.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def handed_over(self, handed: HandedOver) -> None:
        """Go on with it, as long as there is no incident yet; else it is closed as a part of this one."""
        if self._asks_p2:
            self._handed = handed
        elif handed.so_far is not None:
            await workflow.wait_condition(lambda: self.parts is not None)
            await self.incident.takes_in(handed.so_far)
            await self.alerts(handed.alerts)

    @workflow.signal(
        name=RELATED,
        description="A service that shares something with this one has an incident too.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def related(self, other: Related) -> None:
        """Show it to the commander; the cause may be one."""
        await workflow.wait_condition(lambda: self.parts is not None)
        await self._parts.shared.link(other)

    @workflow.update(
        name="close",
        description=described(
            "Close the incident: resolution and root cause.",
            Closing,
            "commander",
            resolution="Rolled back to v1.2.3",
            root_cause="v1.2.4 crashes",
        ),
    )
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
            self._healthy = None if health is None else health.healthy
        return f"{self.incident.id} is being closed"

    @close.validator
    def _check_closing(self, closing: Closing) -> None:
        self.approvals.authorise(closing, "close")
        # Who takes over knows more than the health URL: with `force` nothing keeps them.
        ready = self.waiting_for == "close" or (self.parts is not None and (closing.force or self.incident.held_by))
        if not ready:
            raise Refused(
                f"the incident can't be closed yet, the run is at: {self.timeline.phase}"
                + (f". It waits for you to {self.waiting_for}" if self.waiting_for else "")
            )

    @workflow.update(
        name="take-over",
        description=described(
            "A person has it: the run only watches, records and reminds.",
            TakeOver,
            "commander",
            reason="failing over by hand",
        ),
    )
    async def take_over(self, word: TakeOver) -> str:
        """Leave it to a person; gives what that means."""
        by, before = f"{word.who} ({word.role})", self.incident.held_by
        self.incident.held_by, self._changed_hands = by, True
        self._parts.watch.anew()
        text = "has it now" + (f", from {before}" if before else "") + (f": {word.reason}" if word.reason else "")
        self.say("decision", f"Taken over{f': {word.reason}' if word.reason else ''}", who=by)
        self.background(self.incident.taken_over(by, text))
        return f"{self.incident.id} is yours: the run only watches, records and reminds you, until `hand-back`"

    @take_over.validator
    def _check_take_over(self, word: TakeOver) -> None:
        self.approvals.authorise(word, "mitigate")
        if self._closing is not None:
            raise Refused("the incident is being closed")
        if self.parts is None:
            raise JustStarting("the run is only just starting: try again in a moment")

    @workflow.update(
        name="hand-back",
        description=described("The run goes on by itself again.", HandBack, "commander", reason="the primary is back"),
    )
    async def hand_back(self, word: HandBack) -> str:
        """Take it back from a person."""
        by, self.incident.held_by, self._changed_hands = f"{word.who} ({word.role})", "", True
        self._parts.watch.anew()
        self._declined.forget()
        self.say("decision", f"Given back{f': {word.reason}' if word.reason else ''}", who=by)
        text = f"gives it back{f': {word.reason}' if word.reason else ''}"
        self.background(self.incident.note(by, text))
        self.background(self.incident.tell("given-back", f":leftwards_arrow_with_hook: {by} {text}"))
        return f"the run goes on with {self.incident.id} by itself"

    @hand_back.validator
    def _check_hand_back(self, word: HandBack) -> None:
        self.approvals.authorise(word, "mitigate")
        if self.parts is None or not self.parts.incident.held_by:
            raise Refused("nobody has taken this incident over")

    async def noted(self, note: Note) -> None:
        """Keep remarks in the incident's record too (step 11)."""
        await workflow.wait_condition(lambda: self.parts is not None)
        await self.incident.note(f"{note.who} ({note.role})", note.text)
