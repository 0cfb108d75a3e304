"""The sentence that refuses what isn't taken names something that is."""

import inspect
import json
import re

import pytest
from pydantic import TypeAdapter
from temporalio import workflow

from activities.catalogue.service import ApprovalPolicy
from activities.common.errors import InvalidInput
from activities.records.alerts import Alert
from workers.converter import Undecodable, _refusable
from workers.examples import example
from workers.interceptors import _refuse
from workers.registry import PROCEDURES, Procedure
from workflows.platform.signing import SignedWord


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_the_example_of_whatever_a_run_takes_is_taken(entry: Procedure) -> None:
    definition = workflow._Definition.must_from_class(entry.workflow)
    models = [entry.request]
    for handlers in (definition.updates, definition.signals):
        for handler in handlers.values():
            models += handler.arg_types or []
    for model in models:
        assert TypeAdapter(model).validate_json(json.dumps(example(model)))


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_the_description_of_every_update_has_an_example_that_is_taken(entry: Procedure) -> None:
    """In the UI, where it is pasted; of somebody who may say it by default."""
    roles = ApprovalPolicy().roles
    for name, handler in workflow._Definition.must_from_class(entry.workflow).updates.items():
        what, brace, pasted = (handler.description or "").partition("{")
        (model,) = handler.arg_types or []
        word: SignedWord = TypeAdapter(model).validate_json(brace + pasted)
        assert what.strip(), name
        assert handler.validator is not None, name
        kinds = re.findall(r'authorise\(\w+, "(\w+)"\)', inspect.getsource(handler.validator))
        may = [set(roles[kind]) for kind in kinds] or [{role for some in roles.values() for role in some}]
        assert word.role in set.intersection(*may), name


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_what_a_signal_carries_is_known_as_such(entry: Procedure) -> None:
    """Or what doesn't decode of it would be dropped, and nobody would hear of it."""
    for handler in workflow._Definition.must_from_class(entry.workflow).signals.values():
        (hint,) = handler.arg_types or []
        assert _refusable(hint)


async def _many(self: object, alerts: list[Alert]) -> None: ...


def test_a_handler_may_take_a_list_of_them() -> None:
    alert = Alert.model_validate(example(Alert))
    assert TypeAdapter(list[Alert]).validate_python(example(list[Alert])) == [alert]
    assert _refusable(list[Alert])
    _refuse(_many, [[alert]], "the signal alerts")
    for wrong in ([], [alert], [[alert], [alert]], [Undecodable("bytes")], [b"bytes"]):
        with pytest.raises(InvalidInput, match=r"the signal alerts.*Send for example \[\{"):
            _refuse(_many, wrong, "the signal alerts")
