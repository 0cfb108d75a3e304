"""The registry is the only list of procedures, and every one of them keeps the rules of a procedure."""

import inspect
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from temporalio import workflow

from workers.registry import PROCEDURES, SYSTEM, Procedure, procedure
from workflows.platform.requests import RunbookRequest
from workflows.platform.runbook import Runbook

ROOT = Path(__file__).parents[2]
each = pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)


def test_every_procedure_file_is_registered() -> None:
    files = {
        file.stem for file in (ROOT / "workflows").rglob("*.py") if "@workflow.defn" in file.read_text(encoding="utf-8")
    }
    assert files == {entry.name for entry in PROCEDURES} | {entry.name for entry in SYSTEM}


@each
def test_an_entry_names_its_workflow_without_importing_it(entry: Procedure) -> None:
    assert entry.workflow.__module__ == f"workflows.{entry.module}"
    assert entry.workflow.__name__ == entry.workflow_type
    assert workflow._Definition.must_from_class(entry.workflow).name == entry.workflow_type
    assert entry.section == entry.workflow.SECTION


def test_procedures_stand_in_the_runbooks_order() -> None:
    sections = [[int(number) for number in entry.section.split(".")] for entry in PROCEDURES]
    assert sections == sorted(sections)
    assert len({entry.name for entry in PROCEDURES}) == len(PROCEDURES)


@each
def test_run_takes_one_described_request(entry: Procedure) -> None:
    run = entry.workflow.run  # type: ignore[attr-defined]
    (parameter,) = [p for p in inspect.signature(run).parameters if p != "self"]
    assert typing.get_type_hints(run)[parameter] is entry.request
    assert entry.request.__module__ == entry.workflow.__module__
    assert issubclass(entry.request, RunbookRequest)
    assert entry.request.model_config.get("extra") == "forbid"
    undescribed = [name for name, field in entry.request.model_fields.items() if not field.description]
    assert undescribed == []


@each
def test_the_example_input_is_valid(entry: Procedure) -> None:
    assert entry.request.model_validate(entry.example)


@each
@pytest.mark.parametrize("given", [True, False])
def test_true_is_no_number_anywhere(entry: Procedure, given: bool) -> None:  # noqa: FBT001 - a parameter
    """`true` would count as 1: a rollback would go to the first revision."""
    for name, field in entry.request.model_fields.items():
        try:
            taken = entry.request.model_validate({**entry.example, name: given})
        except ValidationError:
            continue
        assert getattr(taken, name) is given, (name, field.annotation)


@each
def test_every_update_has_a_validator_and_a_description(entry: Procedure) -> None:
    definition = workflow._Definition.must_from_class(entry.workflow)
    assert definition.updates
    for name, update in definition.updates.items():
        assert update.validator is not None, name
        assert update.description, name
    for name, query in definition.queries.items():
        assert query.description, name


@each
def test_a_procedures_file_holds_the_procedure_and_its_models_only(entry: Procedure) -> None:
    module = inspect.getmodule(entry.workflow)
    own = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == entry.workflow.__module__]
    assert all(issubclass(c, BaseModel | Runbook) for c in own)


def test_a_procedure_is_found_by_any_of_its_names() -> None:
    for entry in PROCEDURES:
        assert procedure(entry.name) is procedure(entry.command) is procedure(entry.workflow_type)
    with pytest.raises(KeyError, match="p1-incident"):
        procedure("p1-incidnet")
