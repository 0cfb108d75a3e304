"""What can be done is told as the very commands, with the roles that they need."""

from starters.steering.actions import actions
from tests.starters.steering.said import question, status
from workers.settings import Settings


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
