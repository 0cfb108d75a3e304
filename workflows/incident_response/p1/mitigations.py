"""Which mitigation a P1 takes, who says so, and what it has tried (runbook 2.2, 5 to 15 minutes)."""

from temporalio import workflow

from activities.catalogue.service import Mitigation
from activities.common.effects import Change
from activities.records.activities import Records
from activities.records.deployments import RecordDeployment
from workflows.incident_response.command import Declined
from workflows.incident_response.diagnosis import Diagnosis, Proposal
from workflows.incident_response.mitigation import mitigate, question
from workflows.incident_response.p1.happened import P1Happened
from workflows.incident_response.scaled import Scaled
from workflows.incident_response.watch import Watch
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident


class P1Mitigations:
    """The mitigations of one P1: never the same twice, and none that a person has said no to."""

    def __init__(
        self,
        run: Runbook,
        incident: HushedIncident,
        happened: P1Happened,
        watch: Watch,
        tried: list[Mitigation],
        *,
        scaled: Scaled,
        unasked: bool,
    ) -> None:
        """Begin with what was `tried` before a reset; `unasked`, what is clear is done without asking."""
        self.run = run
        self.incident = incident
        self.service = incident.service
        self.tried = tried
        self.done = [*tried]
        """Those of them that could be done."""
        self.declined = Declined()
        self._happened = happened
        self._watch = watch
        self._scaled = scaled
        self._unasked = unasked
        self._rounds = 0
        self._left_to = ""

    async def act_on(self, diagnosis: Diagnosis) -> None:
        """Choose between A, B and C, and do it."""
        if await self.incident.left_to_maintenance():
            return
        if diagnosis.left_to:
            await self._leave(diagnosis.left_to, diagnosis.because[0])
            return
        if self.incident.held_by:
            self.run.say("decision", f"Left to {self.incident.held_by}, who has it: watching for health")
            return
        chosen = await self._choose(diagnosis)
        if chosen is None:
            self.run.say("decision", "Left to people: watching for health")
            return
        self.tried.append(chosen.mitigation)
        # Read now: a rollback or restart takes the failing pods, and their logs, away within seconds.
        name = f"logs-before-{chosen.mitigation}.txt"
        self.run.background(
            self.incident.evidence.collect_logs(name, self.service.incident.logs_since, failing_only=True)
        )
        change = await self._do(chosen)
        if change is not None:
            self.done.append(chosen.mitigation)
        if change is not None and chosen.mitigation == "rollback" and workflow.patched("record-what-was-left"):
            self.run.background(self._record_left(chosen))

    async def _do(self, chosen: Proposal) -> Change | None:
        """Do it; what is scaled is kept by a pause of the autoscaler, where there is one and nobody else has it."""
        holds = chosen.mitigation == "scale" and self._scaled.autoscaled
        if holds and workflow.patched("p1-holds-the-autoscaler"):
            change = await self._scaled.to(chosen.replicas or 1, unheld=True)
            self._scaled.expires()
            return change
        return await mitigate(self.run, self.service, chosen)

    async def taken_up(self) -> None:
        """Take up what the run had scaled before somebody reset it."""
        if "scale" in self.tried and self._scaled.autoscaled and workflow.patched("p1-holds-the-autoscaler"):
            await self._scaled.as_before_reset(unheld=True)
            self._scaled.expires()

    async def _leave(self, to: str, why: str) -> None:
        """Mitigate nothing: another run has stopped the service on purpose, and brings it back."""
        if to == self._left_to:
            return
        self._left_to = to
        self.run.say("decision", f"{why[0].upper()}{why[1:]}: that run brings it back. Watching for health")
        await self.incident.tell("left", f":hourglass: nothing is mitigated: {why}")

    async def _choose(self, diagnosis: Diagnosis) -> Proposal | None:
        """Decide by the facts where they are clear and policy allows it, else ask; None is left to people."""
        first = diagnosis.first
        allowed = len(self.tried) < self.service.incident.max_mitigations
        if first is not None and diagnosis.clear and self._unasked and allowed and not self.declined:
            self.run.say("decision", f"Decided to {first.does}: {'; '.join(first.because)}")
            return first
        asked = question(self._rounds + 1, diagnosis, self.service, allowed=allowed)
        if self.run.dry_run:
            self.run.say("decision", f"would ask the commander to choose: {', '.join(asked.options)}")
            return None
        if self.declined.covers(asked):
            return None
        self._rounds += 1
        self.run.background(self.incident.ask(asked))
        resolutions = self._happened.resolutions
        answer = await self.run.ask(
            asked,
            escalate=self.incident.escalate,
            until=lambda: self._happened.resolutions > resolutions or self._out_of_our_hands,
        )
        if self._out_of_our_hands:
            # Whoever closes, or takes over, has said what is to be done: nothing, whatever the question's default is.
            return None
        chosen = diagnosis.find(answer.choice)
        nobodys = chosen is not None and diagnosis.down and asked.id not in self.run.approvals.answers
        if nobodys and workflow.patched("looked-again-before-the-default"):
            healthy = await self._watch.healthy()
            if healthy:
                is_healthy = f"{self.service.name} is healthy by now"
                self.run.say("decision", f"{is_healthy}: {answer.choice} is not done, since nobody has asked for it")
                return None
        if self._happened.today and asked.id in self.run.approvals.answers:
            self.declined.forget()
            if chosen is None:
                self.declined.say(asked)
        return chosen

    @property
    def _out_of_our_hands(self) -> bool:
        return self._happened.closing is not None or bool(self.incident.held_by)

    async def _record_left(self, chosen: Proposal) -> None:
        """Remember which release was to blame, so that no run goes back to it by itself."""
        record = RecordDeployment(
            service=self.service.name,
            version=chosen.from_version,
            status="rolled_back",
            at=workflow.now(),
            deployer=self.run.actor,
            revision=chosen.from_revision,
            release=chosen.from_release,
            reason=f"{self.incident.id}: {'; '.join(chosen.because) or 'chosen by people'}"[:2000],
            effect=self.run.effect("record-rollback"),
        )
        await self.run.keep("2.2/A", "Record the rollback", Records.record_deployment, record)
