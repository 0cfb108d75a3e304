"""The sentence that refuses what isn't taken names something that is."""

import json

import pytest
from temporalio import workflow

from activities.common.signals import Signal
from workers.examples import example
from workers.registry import PROCEDURES, Procedure


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_the_example_of_whatever_a_run_takes_is_taken(entry: Procedure) -> None:
    definition = workflow._Definition.must_from_class(entry.workflow)
    models = [entry.request]
    for handlers in (definition.updates, definition.signals):
        for handler in handlers.values():
            (model,) = handler.arg_types or []
            models.append(model)
    for model in models:
        assert model.model_validate_json(json.dumps(example(model)))


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_what_a_signal_carries_is_known_as_such(entry: Procedure) -> None:
    """Or what doesn't decode of it would be dropped, and nobody would hear of it."""
    for handler in workflow._Definition.must_from_class(entry.workflow).signals.values():
        (model,) = handler.arg_types or []
        assert issubclass(model, Signal)
