"""What a person can do about a run with a button: the choices of what it asks, and the words it takes meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow

from audit.text import lasted
from starters.slack import limits
from starters.slack.presses import Press, mark
from workers.registry import PROCEDURES, Procedure
from workflows.platform.approval import OpenQuestion
from workflows.platform.run_status import RunStatus
from workflows.platform.signing import SignedWord

SAY, ASK = "say", "ask"
"""Beginnings of action IDs: a button whose press is the word, and one that opens a modal for what is missing."""

_PROCEDURES = {one.workflow_type: one for one in PROCEDURES}


@dataclass(frozen=True)
class Offer:
    """A word that a run takes while it goes on."""

    update: str
    label: str
    does: str
    kind: str
    """Which of `[approvals] roles` may say it; empty where any may."""

    fields: dict[str, Any] = field(default_factory=dict)
    phases: tuple[str, ...] = ()
    """In which it makes sense; in all where none is named. The run itself refuses what can't be."""

    waits: str | None = None
    """What the run must wait for; None: whatever it waits for."""

    takes: str = ""
    """The field that gets what stands behind `waits`: `tick` waits as `tick disk`, for its `task`."""

    held: bool | None = None
    """Whether a person must have it; None: either way."""

    whenever: bool = False
    """Whether it counts however the run has changed since it was shown."""

    def now(self, status: RunStatus) -> bool:
        """Tell whether it is offered now."""
        if status.outcome or (self.phases and status.phase not in self.phases):
            return False
        waits, _, name = status.waiting_for.partition(" ") if self.takes else (status.waiting_for, "", "")
        if (self.waits is not None and waits != self.waits) or bool(name) != bool(self.takes):
            return False
        return self.held is None or self.held == bool(status.board)

    def press(self, run: tuple[str, str], status: RunStatus) -> Press:
        """Give the word that its button carries."""
        taken = {self.takes: status.waiting_for.partition(" ")[2]} if self.takes else {}
        return Press(
            w=run[0], r=run[1], u=self.update, f={**self.fields, **taken}, s="" if self.whenever else mark(status)
        )


_CLOSE = Offer("close", "Close", "Close the incident", "close", waits="close")
_TAKE = Offer("take-over", "Take over", "You do it by hand; the run watches and reminds you", "mitigate", held=False)
_NOTE = Offer("note", "Note", "A remark for the timeline and the record", "", whenever=True)
"""Of every procedure: it is no reason for a thread, and stands last."""

_BACK = Offer("hand-back", "Hand back", "The run goes on by itself", "mitigate", held=True)


def _lease(kind: str, by: str, what: str, *phases: str) -> tuple[Offer, Offer]:
    longer = Offer(
        "extend",
        f"Extend by {by.removeprefix('PT').removeprefix('P').lower()}",
        f"Keep {what} for longer",
        kind,
        {"by": by},
        phases,
    )
    return longer, Offer("resume", "Resume now", f"End {what} now", kind, phases=phases)


OFFERS: dict[str, tuple[Offer, ...]] = {
    "P1Incident": (_CLOSE, _TAKE, _BACK),
    "P2Incident": (_CLOSE, Offer("raise", "Raise to P1", "It is worse than it looks", "mitigate")),
    "EmergencyScaleUp": _lease("scale", "PT15M", "the pause of the autoscaler", "Autoscaler paused"),
    "PointInTimeRestore": _lease("restore", "P7D", "the damaged copy", "Notify", "Back on the data as it was"),
    "ApiKeyRotation": (
        Offer("extend", "Extend by 6h", "Let the old key work for longer", "revoke", {"by": "PT6H"}, ("Grace period",)),
        Offer("revoke", "Revoke now", "The old key ends now", "revoke", phases=("Grace period",)),
    ),
    "MaintenanceWindow": (
        Offer("begin", "Begin now", "Begin before its time", "maintain", phases=("Scheduled", "Announced")),
        Offer("extend", "Extend by 30m", "Let the window last longer", "maintain", {"by": "PT30M"}, ("In progress",)),
        Offer("end", "End now", "What is under way is stopped", "maintain", phases=("In progress",)),
        Offer("tick", "Done", "What people do is done: it is ticked", "maintain", waits="tick", takes="task"),
    ),
    "EnterpriseOnboarding": (Offer("tick", "Tick", "An item of the checklist is done", "customer"),),
    "FullServiceRecovery": (Offer("stop_watching", "Stop watching", "The watch ends", "close"),),
    "IssueEscalation": (
        Offer("update_customer", "Tell the customer", "Where things stand", "customer"),
        Offer("resolve", "Resolve", "The issue is solved", "customer"),
    ),
    "ChurnPrevention": (Offer("outreach", "Outcome", "What came of speaking with them", "customer", waits="outreach"),),
}


def words(procedure: Procedure) -> dict[str, type[SignedWord]]:
    """Give the words that a procedure takes, by their updates' names."""
    definition = workflow._Definition.must_from_class(procedure.workflow)  # noqa: SLF001  no public way to them
    found: dict[str, type[SignedWord]] = {}
    for name, update in definition.updates.items():
        for kind in update.arg_types or []:
            if name is not None and isinstance(kind, type) and issubclass(kind, SignedWord):
                found[name] = kind
    return found


def word_of(workflow_type: str, update: str) -> type[SignedWord] | None:
    """Give the model of one word; None where a procedure doesn't take it."""
    procedure = _PROCEDURES.get(workflow_type)
    return words(procedure).get(update) if procedure else None


def lacking(model: type[SignedWord], fields: dict[str, Any]) -> list[str]:
    """Name the fields that a person still has to fill in."""
    return [
        name
        for name, one in model.model_fields.items()
        if one.is_required() and name not in fields and name not in SignedWord.model_fields
    ]


def answers(run: tuple[str, str], question: OpenQuestion) -> list[limits.Block]:
    """Give a button for each choice of a question, the recommended one first in colour."""
    made = []
    for number, (choice, does) in enumerate(question.options.items()):
        press = Press(
            w=run[0],
            r=run[1],
            u="decide",
            f={"question": question.id, "choice": choice, "subject": question.subject},
        )
        if (value := press.value()) is None:
            continue
        asks = limits.confirm(f"{choice}?", does, "Yes")
        reason = choice in question.reason_for
        action = f"{ASK if reason else SAY}:{limits.cut(question.id, 100)}:{number}"
        style = "primary" if choice == question.recommended else ""
        made.append(limits.button(choice, action, value, style=style, asks=None if reason else asks))
    return made


def meanwhile(run: tuple[str, str], status: RunStatus) -> list[limits.Block]:
    """Give a button for each word that the run takes now beside its questions."""
    return [*_meanwhile(run, status)]


def _meanwhile(run: tuple[str, str], status: RunStatus) -> Iterator[limits.Block]:
    procedure = _PROCEDURES.get(status.procedure)
    known = words(procedure) if procedure else {}
    for offer in _offers(status.procedure):
        model = known.get(offer.update)
        if model is None or not offer.now(status):
            continue
        press = offer.press(run, status)
        if (value := press.value()) is None:
            continue
        typed = bool(lacking(model, press.fields))
        asks = None if typed else limits.confirm(f"{offer.label}?", offer.does, "Yes")
        label = " ".join(filter(None, (offer.label, str(press.fields.get(offer.takes, "")))))
        yield limits.button(label, f"{ASK if typed else SAY}:{offer.update}", value, asks=asks)


def _offers(procedure: str) -> tuple[Offer, ...]:
    return (*OFFERS.get(procedure, ()), _NOTE)


def roles(status: RunStatus, press: Press, allowed: dict[str, tuple[str, ...]]) -> list[str] | None:
    """Say which roles may say a word; None where any may. `allowed` is `[approvals] roles`, for what is no question."""
    if press.update == "decide":
        asked = next((one for one in status.questions if one.id == press.fields.get("question")), None)
        return asked.roles if asked else None
    offer = next((one for one in _offers(status.procedure) if one.update == press.update), None)
    return [*allowed.get(offer.kind, ())] if offer and offer.kind else None


def waits(question: OpenQuestion) -> str:
    """Say who may decide and what happens without an answer."""
    who = ", ".join(question.roles) or "nobody's role"
    first = f" {question.first.by} has said `{question.first.choice}`; one more must." if question.first else ""
    two = " It takes two people." if question.two_persons and not question.first else ""
    unanswered = f"No answer within {lasted(question.timeout)} escalates, then `{question.default}`."
    return f"May decide: {who}.{two}{first} {unanswered}"
