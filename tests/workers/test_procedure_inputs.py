"""What somebody typed as the input of a procedure that is to be a step: complete and checked, or refused."""

from typing import Any

import pytest

from activities.catalogue.procedures import BuildRequest
from activities.common.errors import InvalidInput
from workers.procedure_inputs import build
from workers.registry import PROCEDURES


def asked(procedure: str, **given: Any) -> BuildRequest:
    return BuildRequest(procedure=procedure, input=given, service="web", requested_by="ada")


def test_what_is_left_out_is_filled_in() -> None:
    built = build(asked("database-maintenance", tables=["jobs"]))
    assert (built.workflow_type, built.section) == ("DatabaseMaintenance", "6.2")
    assert built.input["service"] == "web"
    assert built.input["requested_by"] == "ada"
    assert (built.input["tables"], built.input["min_duration"], built.input["dry_run"]) == (["jobs"], "PT1M", False)


def test_a_plan_plans_its_steps_too() -> None:
    given = asked("database-maintenance", dry_run=False).model_copy(update={"dry_run": True})
    assert build(given).input["dry_run"] is True


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_every_other_procedure_can_be_a_step(entry: Any) -> None:
    given = asked(entry.command, **{**entry.example, "service": "web"})
    if entry.name == "maintenance_window":
        with pytest.raises(InvalidInput, match="can't be a task of a window"):
            build(given)
    else:
        assert entry.request.model_validate(build(given).input)


@pytest.mark.parametrize(
    ("procedure", "given", "says"),
    [
        ("vacuum", {}, "no procedure 'vacuum'. Known: morning-startup, "),
        ("manual-scale-up", {"target": "+2", "cores": 3}, "manual-scale-up: cores: there is no such field"),
        ("manual-scale-up", {"service": "api", "target": "+2"}, "manual-scale-up: service: the window is one of web"),
        ("enterprise-onboarding", {}, "enterprise-onboarding: name: Field required"),
    ],
)
def test_what_is_wrong_is_said_by_its_field(procedure: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build(asked(procedure, **given))
    assert says in refused.value.message
