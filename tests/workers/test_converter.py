"""The payload converter: input that doesn't decode fails a run, and nothing is made anew for each payload."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, create_model
from temporalio.api.common.v1 import Payload
from temporalio.converter import ActivitySerializationContext, WorkflowSerializationContext

from activities.common.errors import InvalidInput
from workers.codec import AesGcmCodec
from workers.converter import DATA_CONVERTER, RunbookPayloadConverter, data_converter

IN_WORKFLOW = WorkflowSerializationContext(namespace="default", workflow_id="w")
IN_ACTIVITY = ActivitySerializationContext(
    namespace="default",
    activity_id="1",
    activity_type="a",
    activity_task_queue="q",
    workflow_id="w",
    workflow_type="W",
    is_local=False,
)


class Ask(BaseModel):
    replicas: int


def payload(data: str, encoding: bytes = b"json/plain") -> Payload:
    return Payload(metadata={"encoding": encoding}, data=data.encode())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (payload('{"replicas": "hunter2"}'), "replicas: Input should be a valid integer"),
        (payload("{}"), "replicas: Field required"),
        (payload("[1"), "input: Invalid JSON"),
        (payload("null"), "input: Input should be an object"),
        (payload("", b"binary/null"), "the input is null"),
        (payload("{}", b"json/unheard-of"), "not a JSON object of this procedure's request"),
    ],
)
def test_a_runs_input_that_does_not_decode_fails_it_without_its_values(given: Payload, says: str) -> None:
    converter = RunbookPayloadConverter().with_context(IN_WORKFLOW)
    with pytest.raises(InvalidInput) as refused:
        converter.from_payloads([given], [Ask])
    assert says in refused.value.message
    assert "hunter2" not in refused.value.message
    with pytest.raises((ValidationError, KeyError, AssertionError)):  # an activity's result is tried again
        assert RunbookPayloadConverter().with_context(IN_ACTIVITY).from_payloads([given], [Ask]) != [None]


@pytest.mark.parametrize("make", [lambda: DATA_CONVERTER, lambda: data_converter(AesGcmCodec([b"k" * 32]))])
def test_contexts_make_nothing_anew(make: Callable[[], Any]) -> None:
    converter = make()
    assert converter.with_context(IN_WORKFLOW) is converter
    one, other = RunbookPayloadConverter(), RunbookPayloadConverter()
    for context in (IN_WORKFLOW, IN_ACTIVITY):
        assert one.with_context(context) is other.with_context(context)
    assert one.with_context(IN_WORKFLOW) is not one.with_context(IN_ACTIVITY)


def test_a_model_that_only_one_run_had_is_forgotten() -> None:
    """The sandbox loads a procedure's models anew for every run: what the process shares must not keep them."""
    model = create_model("OfOneRun", replicas=(int, ...))
    decoded = RunbookPayloadConverter().from_payloads([payload('{"replicas": 2}')], [model])
    assert decoded == [model(replicas=2)]
    kept = weakref.ref(model)
    del model, decoded
    gc.collect()
    assert kept() is None
