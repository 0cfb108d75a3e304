"""The checklist of an onboarding (runbook 5.1): phases with due dates, items that people or the data tick."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from activities.common.errors import InvalidInput
from activities.common.text import Key, Reason
from activities.common.times import Time
from audit.text import plain


class Item(BaseModel):
    """One line of the checklist."""

    id: Key
    text: Reason
    kind: Key = Field(default="", description="Usage that ticks it by itself, e.g. `api_call`.")
    done_at: Annotated[datetime | None, Time(made_fit=True)] = None
    done_by: Key = ""
    note: Reason = ""
    evidence: Reason = Field(default="", description="Where it can be seen: a link.")
    needed: bool = True


class Phase(BaseModel):
    """One heading of the checklist."""

    id: Key
    title: Key
    due_at: Annotated[datetime, Time(made_fit=True)]
    items: list[Item]
    reminded: bool = False
    late: bool = Field(default=False, description="People have been told that it is late.")

    @property
    def open(self) -> list[Item]:
        """What is still to be done."""
        return [item for item in self.items if item.done_at is None]

    def __str__(self) -> str:
        """One line: `Technical kickoff: 3 of 5 open`."""
        return f"{self.title}: {len(self.open)} of {len(self.items)} open"


class Checklist(BaseModel):
    """All of it."""

    phases: list[Phase]

    @property
    def done(self) -> bool:
        """Nothing is open."""
        return not any(phase.open for phase in self.phases)

    @property
    def current(self) -> Phase | None:
        """The first phase with something open."""
        return next((phase for phase in self.phases if phase.open), None)

    @property
    def awaited(self) -> dict[str, Item]:
        """What the data may tick, by the kind of usage."""
        return {item.kind: item for phase in self.phases for item in phase.open if item.kind}

    def phase(self, phase_id: str) -> Phase:
        """Find a phase.

        Raises:
            InvalidInput: there is none; names those there are.

        """
        for phase in self.phases:
            if phase.id == phase_id:
                return phase
        raise InvalidInput(f"phase: there is no {phase_id!r}. Phases: {', '.join(phase.id for phase in self.phases)}")

    def item(self, item_id: str) -> Item:
        """Find an item.

        Raises:
            InvalidInput: there is none; names what is open.

        """
        for phase in self.phases:
            for item in phase.items:
                if item.id == item_id:
                    return item
        still = ", ".join(item.id for phase in self.phases for item in phase.open)
        raise InvalidInput(f"item: there is no {item_id!r}. Open: {still or 'nothing'}")

    def shift(self, by: timedelta) -> None:
        """Move the due dates of everything that is still open."""
        for phase in self.phases:
            if phase.open:
                phase.due_at += by

    def markdown(self) -> str:
        """Show it as the runbook's page does."""
        return "\n".join(line for phase in self.phases for line in _phase(phase))


def _phase(phase: Phase) -> list[str]:
    late = " ⚠ late" if phase.late and phase.open else ""
    return [f"\n**{phase.title}** — due {phase.due_at:%Y-%m-%d}{late}\n", *(_item(item) for item in phase.items)]


def _item(item: Item) -> str:
    if item.done_at is None:
        return f"- [ ] {item.text} (`{item.id}`)"
    how = f"{item.done_at:%Y-%m-%d}, {plain(item.done_by)}{'' if item.needed else ', not needed'}"
    note = f": {plain(item.note)}" if item.note else ""
    link = f" — [evidence](<{plain(item.evidence)}>)" if item.evidence else ""
    return f"- [x] {item.text} ({how}{note}){link}"


_PHASES: tuple[tuple[str, str, int, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "day-0",
        "Day 0: Contract signed",
        1,
        (
            ("tenant", "Create tenant in system", ""),
            ("api-key", "Generate API keys", ""),
            ("admin", "Create admin user account", ""),
            ("welcome", "Send welcome email with credentials", ""),
            ("kickoff-scheduled", "Schedule kickoff call", ""),
        ),
    ),
    (
        "kickoff",
        "Day 1–3: Technical kickoff",
        3,
        (
            ("kickoff-call", "Kickoff call completed", ""),
            ("architecture-review", "Architecture review done", ""),
            ("timeline-agreed", "Integration timeline agreed", ""),
            ("success-criteria", "Success criteria defined", ""),
            ("people-assigned", "Assign CSM and SE", ""),
        ),
    ),
    (
        "implementation",
        "Day 4–14: Implementation",
        14,
        (
            ("sdk-integrated", "Customer integrated SDK", ""),
            ("first-api-call", "First API call made", "api_call"),
            ("first-training-job", "First training job run", "training_job"),
            ("test-environment", "Test environment verified", ""),
            ("security-review", "Security review passed", ""),
        ),
    ),
    (
        "go-live",
        "Day 15–30: Go-live",
        30,
        (
            ("production", "Production deployment complete", ""),
            ("load-test", "Load testing passed", ""),
            ("monitoring", "Monitoring configured", "monitoring"),
            ("documentation", "Documentation delivered", ""),
            ("training", "Training completed", ""),
        ),
    ),
    (
        "post-launch",
        "Post-launch",
        37,
        (
            ("check-in", "30-day check-in scheduled", ""),
            ("success-metrics", "Success metrics tracking", ""),
            ("qbr", "QBR scheduled", ""),
        ),
    ),
)


def checklist(signed_at: datetime) -> Checklist:
    """Give the runbook's checklist, nothing ticked; due dates count from the contract."""
    return Checklist(
        phases=[
            Phase(
                id=phase_id,
                title=title,
                due_at=signed_at + timedelta(days=days),
                items=[Item(id=item_id, text=text, kind=kind) for item_id, text, kind in items],
            )
            for phase_id, title, days, items in _PHASES
        ]
    )
