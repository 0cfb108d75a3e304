"""Whom the law wants told of a security incident, and until when (runbook 8.1 step 8).

Whether a duty is there is for people to decide. Until they have said that there is none, its clock runs: it is a
durable timer from the time at which people became aware, it reminds, and every reminder is kept as evidence.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow

from activities.evidence.evidence import Evidence, StoreDocument
from workflows.platform.approval import Question
from workflows.security.asking import ask
from workflows.shared.desk import Desk

Regime = Literal["gdpr", "hipaa"]
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_BOTH, _NONE = "both", "none"
_NOTIFIED, _NOT_REQUIRED, _OPEN = "notified", "not-required", "not-answered"


@dataclass(frozen=True)
class _Law:
    """A duty to notify."""

    what: str
    within: timedelta
    remind_before: tuple[timedelta, ...]


LAWS: dict[Regime, _Law] = {
    "gdpr": _Law("the supervisory authority, GDPR Art. 33(1)", 72 * _HOUR, (48 * _HOUR, 24 * _HOUR, 6 * _HOUR)),
    "hipaa": _Law("those affected, HIPAA 45 CFR 164.404(b)", 60 * _DAY, (30 * _DAY, 14 * _DAY, 3 * _DAY)),
}
"""Both run from when the breach is known, "without undue delay and … not later than" that."""


class Duties:
    """The legal clocks of one incident."""

    def __init__(self, desk: Desk, aware_at: datetime) -> None:
        self.desk = desk
        self.run = desk.run
        self.aware_at = aware_at
        self.ended: dict[str, str] = {}
        """By regime: how its clock ended, and by whom."""

    async def see_to(self) -> None:
        """Have people decide which duties there are, and watch their clocks until each is answered for."""
        if self.run.dry_run:
            self.run.say("decision", "would ask legal which duties to notify there are", section="8.1/8")
            return
        question = Question(
            id="legal",
            title="Which duties to notify are there?",
            options={
                _BOTH: "both clocks run",
                "gdpr": f"personal data of people in the EU: {LAWS['gdpr'].what}",
                "hipaa": f"protected health information: {LAWS['hipaa'].what}",
                _NONE: "neither; say why",
            },
            default=_BOTH,
            kind="legal",
            reason_for=[_NONE],
            timeout=self.desk.service.security.legal_within,
        )
        answer = await ask(self.desk, question)
        self.run.say("decision", f"Duties to notify: {answer.choice} ({answer.by})", section="8.1/8")
        await self._keep("duties.json", {"decision": answer.choice, "by": answer.by, "reason": answer.reason})
        chosen = [regime for regime in LAWS if answer.choice in {_BOTH, regime}]
        await asyncio.gather(*(self._watch(regime) for regime in chosen))

    async def _watch(self, regime: Regime) -> None:
        law = LAWS[regime]
        due = self.aware_at + law.within
        reminding = asyncio.create_task(self._remind(regime, law, due))
        question = Question(
            id=regime,
            title=f"Has {law.what} been notified? Due {due:%Y-%m-%d %H:%M %Z}.",
            options={_NOTIFIED: "it was done; say when and how", _NOT_REQUIRED: "there is no duty after all; say why"},
            default=_OPEN,
            kind="legal",
            reason_for=[_NOTIFIED, _NOT_REQUIRED],
            timeout=max(due - workflow.now(), timedelta(seconds=1)),
        )
        answer = await ask(self.desk, question)
        reminding.cancel()
        self.ended[regime] = f"{answer.choice} ({answer.by})"
        late = workflow.now() > due
        self.run.say(
            "deadline" if late else "decision",
            f"{regime}: {answer.choice} ({answer.by}){', after it was due' if late else ''}",
            section="8.1/8",
        )
        told = {
            "regime": regime,
            "due": due.isoformat(),
            "ended": workflow.now().isoformat(),
            "how": answer.choice,
            "by": answer.by,
            "reason": answer.reason,
        }
        await self._keep(f"duty-{regime}.json", told)

    async def _remind(self, regime: Regime, law: _Law, due: datetime) -> None:
        for before in law.remind_before:
            left = due - before - workflow.now()
            if left <= timedelta(0):
                continue
            await workflow.sleep(left, summary=f"{regime}: reminder, {before} before it is due")
            text = f"{law.what} is to be notified by {due:%Y-%m-%d %H:%M %Z}, in {before}"
            self.run.say("deadline", text, section="8.1/8")
            hours = int(before / _HOUR)
            kept = {"regime": regime, "due": due.isoformat(), "reminded": workflow.now().isoformat()}
            self.run.background(self._keep(f"reminder-{regime}-{hours}h.json", kept))
            self.run.background(self.desk.tell(f"reminder-{regime}", f":alarm_clock: {text}"))

    async def _keep(self, name: str, content: dict[str, str]) -> None:
        document = StoreDocument(
            incident_id=self.desk.id,
            name=name,
            content=json.dumps(content, indent=1),
            content_type="application/json",
            effect=self.run.effect(name.removesuffix(".json")),
        )
        await self.run.keep("8.1/8", f"Keep {name}", Evidence.store_document, document)
