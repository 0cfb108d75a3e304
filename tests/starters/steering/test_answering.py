"""Which question is meant, and in which role: without a run."""

from datetime import UTC, datetime, timedelta

import pytest

from starters.steering import errors
from starters.steering.actions import actions
from starters.steering.answering import decided, meant, role_for
from starters.steering.errors import NothingAsked, WrongChoice, WrongInput, WrongQuestion
from starters.steering.listing import may
from starters.steering.outcomes import reached
from workers.settings import Settings
from workflows.platform.approval import EVENTS, NO_ANSWER, Decided, OpenQuestion
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Entry, Kind

AT = datetime(2026, 2, 4, 3, 0, tzinfo=UTC)


def question(name: str, *roles: str) -> OpenQuestion:
    return OpenQuestion(
        id=name,
        title="Which?",
        options={"keep": "as it is", "switch": "to the copy"},
        default="keep",
        kind="restore",
        reason_for=["switch"],
        timeout=timedelta(minutes=5),
        asked_at=AT,
        roles=list(roles),
        subject="s",
    )


def over(name: str, choice: str, by: str, reason: str = "") -> Decided:
    return Decided(question=name, choice=choice, by=by, reason=reason, at=AT)


def status(
    *questions: OpenQuestion,
    closed: tuple[Decided, ...] = (),
    said: tuple[tuple[Kind, str, str], ...] = (),
    waiting_for: str = "",
    procedure: str = "PointInTimeRestore",
) -> RunStatus:
    entries = [Entry(at=AT, kind=kind, phase="", text=text, who=who) for kind, text, who in said]
    return RunStatus(
        section="7.3",
        procedure=procedure,
        title="t",
        phase="p",
        started_at=AT,
        now=AT,
        dry_run=False,
        clocks=[],
        questions=list(questions),
        decided=list(closed),
        entries=entries,
        waiting_for=waiting_for,
    )


@pytest.mark.parametrize(
    ("roles", "said", "taken"),
    [
        (("dba", "on-call"), None, "on-call"),
        (("dba",), None, "dba"),
        (("dba", "commander"), "commander", "commander"),
        (("dba",), "intern", "intern"),  # the run refuses, and names those that may
        ((), None, "on-call"),
    ],
)
def test_the_role_that_may_is_taken_where_it_is_the_only_one(roles: tuple[str, ...], said: str, taken: str) -> None:
    assert role_for(question("q", *roles), said) == taken


def test_several_roles_that_may_are_named() -> None:
    with pytest.raises(WrongInput, match=r"q: dba or commander may decide it\. Say which you are with --role"):
        role_for(question("q", "dba", "commander"), None)


def test_each_mistake_has_an_error_of_its_own() -> None:
    one, two = question("switch-1", "dba"), question("drop-1", "dba")
    assert meant(status(one), None, "keep") is one
    assert meant(status(one, two), "drop-1", "keep") is two
    with pytest.raises(WrongInput, match=r"--question\. Open questions: switch-1, drop-1"):
        meant(status(one, two), None, "keep")
    with pytest.raises(WrongChoice, match="Choices: keep, switch"):
        meant(status(one), None, "pray")
    with pytest.raises(WrongQuestion, match="Open questions: switch-1"):
        meant(status(one), "drop-9", "keep")
    with pytest.raises(NothingAsked):
        meant(status(), None, "keep")
    told = (over("drop-9", "keep", "bob (dba)"), over("switch-1", "keep", "ada (dba)", "not today"))
    with pytest.raises(errors.Decided, match=r"decided: keep: not today by ada \(dba\) at 2026-02-04 03:00:00 UTC"):
        meant(status(two, closed=told), "switch-1", "keep")


def test_a_finding_of_one_word_is_no_question_that_somebody_has_decided() -> None:
    """Nor is what the timeline says of anything else: a run that has asked nothing is told so."""
    said: tuple[tuple[Kind, str, str], ...] = (
        ("decision", "well: every figure is within its limit by now", ""),
        ("decision", "Closed: rolled back", "ada (commander)"),
    )
    assert decided(status(said=said), None) == ""
    with pytest.raises(NothingAsked):
        meant(status(said=said), None, "keep")


def test_what_nobody_has_decided_is_told_as_that() -> None:
    late, gone = over("switch-1", "keep", NO_ANSWER), over("switch-2", "none", EVENTS)
    assert decided(status(closed=(late, gone)), None).startswith(
        "switch-2 is over: what it asked about had changed by "
    )
    assert decided(status(closed=(late, gone)), "switch-1") == (
        "switch-1 is over: nobody had answered by 2026-02-04 03:00:00 UTC, and so keep was taken"
    )


def test_what_can_be_done_is_told_as_the_very_commands() -> None:
    told = [one.command for one in actions(status(question("switch-1", "dba")), run="a run", settings=Settings())]
    assert told == [
        "runbooks approve 'a run' --choice keep --role dba",
        "runbooks approve 'a run' --choice switch --reason \"…\" --role dba",
        "runbooks extend 'a run' --by 7d --role dba",
        "runbooks resume 'a run' --role dba",
        "runbooks cancel 'a run'",
    ]
    closing = [one.command for one in actions(status(waiting_for="close"), run="INC-1", settings=Settings())]
    assert closing[0] == 'runbooks close INC-1 --resolution "…" --root-cause "…"'
    other = actions(status(waiting_for="close"), run="INC-1", settings=Settings(), role="intern")
    assert other[0].command.endswith("--role commander")


def test_each_command_names_the_role_that_it_needs() -> None:
    def told(procedure: str, waiting_for: str, role: str) -> list[str]:
        waits = status(waiting_for=waiting_for, procedure=procedure)
        return [one.command for one in actions(waits, run="R", settings=Settings(), role=role)]

    assert told("MaintenanceWindow", "tick disk", "legal") == [
        "runbooks windows tick R disk --role dba",
        "runbooks windows begin R --role dba",
        "runbooks extend R --by 30m --role dba",
        'runbooks windows end R --reason "…" --role dba',
        "runbooks cancel R",
    ]
    assert told("MaintenanceWindow", "tick disk", "dba")[0] == "runbooks windows tick R disk"
    assert told("EnterpriseOnboarding", "resume", "csm") == [
        "runbooks resume R",
        "runbooks onboarding tick R ITEM",
        "runbooks cancel R",
    ]
    assert told("EmergencyScaleUp", "", "dba")[0] == "runbooks extend R --by 15m --role commander"


def test_who_is_waited_for_is_said_where_it_is_no_question() -> None:
    def who(procedure: str, waiting_for: str) -> list[str]:
        return may(Settings(), status(waiting_for=waiting_for, procedure=procedure))

    assert who("P1Incident", "close") == ["commander", "on-call", "engineering-lead"]
    assert who("MaintenanceWindow", "tick disk")[0] == "dba"
    assert who("EnterpriseOnboarding", "Day 1–3: Technical kickoff: 5 of 5 open")[:2] == ["csm", "se"]
    assert who("EnterpriseOnboarding", "") == []


@pytest.mark.parametrize(
    ("workflow_type", "outcome", "did"),
    [
        ("ManualScaleUp", "scaled", True),
        ("ManualScaleUp", "scaled, not healthy", False),
        ("P1Incident", "closed", True),
        ("P1Incident", "closed, not healthy", False),
        ("Rollback", "rolled back", True),
        ("Rollback", "planned", True),
        ("StandardDeployment", "rolled back", False),
        ("StandardDeployment", "complete", True),
        ("AddGpuNode", "not needed", True),
        ("AddGpuNode", "no node", False),
        ("DatabaseFailover", "not fenced", False),
        ("PointInTimeRestore", "restored, then cancelled", False),
        ("Rollback", "left as it is", False),
    ],
)
def test_whether_a_run_did_what_was_asked(workflow_type: str, outcome: str, *, did: bool) -> None:
    assert reached(workflow_type, outcome) is did
