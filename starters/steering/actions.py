"""What a person can do about a run now, as the very commands."""

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from starters.steering.identity import DEFAULT_ROLE
from starters.steering.listing import may
from workers.settings import Settings
from workflows.platform.approval import OpenQuestion
from workflows.platform.run_status import RunStatus

_TAKE_OVER = ("take-over", '--reason "…"', "do it by hand; the run then watches and reminds you", "mitigate")
_HOLDING = {
    "EmergencyScaleUp": (
        ("extend", "--by 15m", "keep the pause for longer", "scale"),
        ("resume", "", "end the pause now", "scale"),
    ),
    "PointInTimeRestore": (
        ("extend", "--by 7d", "keep the damaged copy for longer", "restore"),
        ("resume", "", "ask now whether it is still needed", "restore"),
    ),
    "ApiKeyRotation": (
        ("extend", "--by 6h", "prolong the old key's grace", "revoke"),
        ("revoke", "", "end it now", "revoke"),
    ),
    "MaintenanceWindow": (
        ("windows begin", "", "begin before its time", "maintain"),
        ("extend", "--by 30m", "let it last longer", "maintain"),
        ("windows end", '--reason "…"', "end it now", "maintain"),
    ),
    "P1Incident": (_TAKE_OVER,),
    "P2Incident": (_TAKE_OVER, ("raise-to-p1", '--reason "…"', "it is worse than it looks", "mitigate")),
    "EnterpriseOnboarding": (("onboarding tick", "ITEM", "tick an item of the checklist: it is done", "customer"),),
    "FullServiceRecovery": (("stop-watching", '--reason "…"', "end the day of watching", "close"),),
}
"""What can be said to a run of a procedure while it goes on by itself: command, its options, what it does, who may."""

_CLOSE = (("close", '--resolution "…" --root-cause "…"', "close the incident"),)
_WAITS = {
    "close": _CLOSE,
    "update_customer or resolve": (
        ("ticket update", '--text "…"', "tell the customer where things stand"),
        ("ticket resolve", '--resolution "…"', "close the ticket, and tell the customer"),
    ),
    "outreach": (("outreach", "--outcome retained", "or at_risk, lost, no_contact"),),
    "resume": (("resume", "", "go on with what was paused"),),
}
"""What brings a run on that waits for it."""


class Action(NamedTuple):
    """One command, and what it does."""

    command: str
    does: str
    answers: bool = False
    """Whether it answers a question, which says itself what each choice does."""


def actions(status: RunStatus, *, run: str, settings: Settings, role: str | None = None) -> list[Action]:
    """List what can be done, what the run waits for first; `run` is what commands call it."""
    role = role or DEFAULT_ROLE
    found = [action for question in status.questions for action in _answers(status, question, run, role)]
    if not found:
        found = [*_waited_for(status, run, settings, role)]
    if status.waiting_for != "close":
        for name, options, does, kind in _HOLDING.get(status.procedure, ()):
            roles = [*settings.approvals.roles.get(kind, ())]
            found.append(Action(_line(name, run, f"{options}{_as(role, roles)}"), does))
    return [*found, Action(_line("cancel", run, ""), "stop it; what it has paused is put back")]


def _answers(status: RunStatus, question: OpenQuestion, run: str, role: str) -> Iterator[Action]:
    which = f"--question {question.id} " if len(status.questions) > 1 else ""
    for choice, does in question.options.items():
        said = {"recommended": question.recommended, "without an answer": question.default}
        marks = [mark for mark, other in said.items() if other == choice]
        mark = f" ({', '.join(marks)})" if marks else ""
        why = ' --reason "…"' if choice in question.reason_for else ""
        options = f"{which}--choice {choice}{why}{_as(role, question.roles)}"
        yield Action(_line("approve", run, options), f"{does}{mark}", answers=True)


def _waited_for(status: RunStatus, run: str, settings: Settings, role: str) -> Iterator[Action]:
    waits, who = status.waiting_for, _as(role, may(settings, status))
    for name, options, does in _WAITS.get(waits, ()):
        yield Action(_line(name, run, f"{options}{who}"), does)
    if waits.startswith("tick "):
        yield Action(_line("windows tick", run, f"{shlex.quote(waits.removeprefix('tick '))}{who}"), "it is done")


def _as(role: str, roles: list[str]) -> str:
    """Name a role that may, where one's own may not."""
    return f" --role {roles[0]}" if roles and role not in roles else ""


def _line(name: str, run: str, options: str) -> str:
    return " ".join(filter(None, ("runbooks", name, shlex.quote(run), options.strip())))
