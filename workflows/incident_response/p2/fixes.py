"""Which fix a P2 takes, who says so, and what it has tried (runbook 2.3 steps 4 and 5)."""

from activities.catalogue.service import Mitigation
from workflows.incident_response.degraded import Degradation
from workflows.incident_response.diagnosis import Proposal
from workflows.incident_response.mitigation import mitigate
from workflows.incident_response.p2.happened import P2Happened
from workflows.incident_response.scaled import Scaled
from workflows.platform.approval import Answer, Question
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident

_WATCH_ON, _RAISE = "watch", "raise"
_DONE: dict[Mitigation, str] = {"scale": "Scaled up", "rollback": "Rolled back", "restart": "Restarted"}


class P2Fixes:
    """The fixes of one P2: never the same twice."""

    def __init__(
        self,
        run: Runbook,
        incident: HushedIncident,
        happened: P2Happened,
        scaled: Scaled,
        tried: list[Mitigation],
        *,
        unasked: bool,
    ) -> None:
        """Begin with what was `tried` before a reset; `unasked`, what is clear is done without asking."""
        self.run = run
        self.incident = incident
        self.service = incident.service
        self.tried = tried
        self.did = [*tried]
        """Those of them that could be done."""
        self._happened = happened
        self._scaled = scaled
        self._unasked = unasked
        self._questions = 0
        self._asked_for: set[str] = set()
        """What people were asked already, and left to be watched."""

    @property
    def done(self) -> str:
        """What was done, for the record: what could not be is none."""
        if self.tried and not self.did:
            return "Nothing that was tried could be done"
        return ", ".join(_DONE[fix] for fix in self.did) or "No fix was needed"

    async def taken_up(self) -> bool:
        """Take up what the run did before somebody reset it, with what it holds; False where that was nothing."""
        if "scale" in self.tried:
            await self._scaled.as_before_reset()
        return bool(self.tried)

    async def act_on(self, found: Degradation) -> None:
        """Choose among the common fixes, and do it (steps 4 and 5)."""
        self.run.say("decision", f"{found.reason.replace('_', ' ')}: {'; '.join(found.because)}", section="2.3/4")
        if found.reason in {"well", "stopped"} or self._happened.ended:
            return
        if await self.incident.left_to_maintenance():
            return
        allowed = len(self.tried) < self.service.degradation.max_fixes
        clear = found.clear and self._unasked and allowed
        chosen = found.first if clear else await self._ask_people(found, allowed=allowed)
        if chosen is None or self._happened.ended:
            return
        self.tried.append(chosen.mitigation)
        self.run.say("decision", f"Decided to {chosen.does}: {'; '.join(chosen.because) or 'chosen by people'}")
        if chosen.mitigation == "scale":
            change = await self._scaled.to(chosen.replicas or 1)
        else:
            change = await mitigate(self.run, self.service, chosen)
        if change is not None:
            self.did.append(chosen.mitigation)
        if change is not None and not self.run.dry_run:
            await self.incident.tell(f"fixed-{len(self.tried)}", f":wrench: Done: {chosen.does}. Being watched now.")

    async def _ask_people(self, found: Degradation, *, allowed: bool) -> Proposal | None:
        """Ask for a fix; None goes on watching, which is what is done when nobody answers."""
        options = {p.mitigation: p.does for p in found.proposals} if allowed else {}
        asked = f"{found.reason}: {', '.join(options.values())}"
        if asked in self._asked_for:
            self.run.say("step", "People have been asked that already: watching on")
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
            timeout=self.service.degradation.decision_timeout,
        )
        if self.run.dry_run:
            self.run.say("decision", f"would ask the commander to choose: {', '.join(question.options)}")
            return None
        self.run.background(self.incident.ask(question))
        answer: Answer = await self.run.ask(
            question, escalate=self.incident.escalate, until=lambda: self._happened.ended
        )
        if answer.choice == _RAISE:
            self._happened.raising = f"{answer.by} says so {answer.reason}".rstrip()
        return found.find(answer.choice)
