"""Bad workflow input fails the run at once instead of sticking it.

A payload that does not decode inside a workflow task makes Temporal retry the task for ever: the run looks
alive and does nothing. This converter turns such input into a failed run with a readable sentence. Activity
results go on being retried, because there the code is wrong and not the person. Starters use it too.
"""

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    SerializationContext,
    WorkflowSerializationContext,
)

from activities.common.errors import InvalidInput
from workers.codec import AesGcmCodec
from workers.settings import explain


def _accepts_none(hint: type[Any]) -> bool:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return type(None) in typing.get_args(hint)
    return hint in {Any, type(None), object}


class _Json(PydanticJSONPlainPayloadConverter):
    """Pydantic's; a model decodes itself, so that nothing is built, nor kept, for a class that only one run has."""

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Decode one payload."""
        if isinstance(type_hint, type) and issubclass(type_hint, BaseModel):
            return type_hint.model_validate_json(payload.data)
        return super().from_payload(payload, type_hint)


# One for the process: what it has learnt of a type serves all runs, where each run would build its own anew.
_JSON = _Json()
_ENCODINGS = tuple(
    _JSON if isinstance(encoding, PydanticJSONPlainPayloadConverter) else encoding
    for encoding in PydanticPayloadConverter().converters.values()
)


class RunbookPayloadConverter(CompositePayloadConverter):
    """Pydantic's converter, which in a workflow's context raises `InvalidInput` for what does not decode."""

    def __init__(self, *, in_workflow: bool = False) -> None:
        super().__init__(*_ENCODINGS)
        self._in_workflow = in_workflow

    def with_context(self, context: SerializationContext) -> "RunbookPayloadConverter":
        """Know whether payloads are a workflow's own input."""
        return _IN_WORKFLOW if isinstance(context, WorkflowSerializationContext) else _ELSEWHERE

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None) -> list[Any]:
        """Decode payloads.

        Raises:
            InvalidInput: in a workflow's context only; names the fields, not their values.

        """
        if not self._in_workflow:
            return super().from_payloads(payloads, type_hints)
        try:
            values = super().from_payloads(payloads, type_hints)
        except ValidationError as error:
            raise InvalidInput(explain(error)) from None
        except Exception as error:  # noqa: BLE001  whatever it is, the run must not stick
            message = f"the input is not a JSON object of this procedure's request ({type(error).__name__})"
            raise InvalidInput(message) from None
        for value, hint in zip(values, type_hints or [], strict=False):
            if value is None and not _accepts_none(hint):
                message = "the input is null; leave it empty or give a JSON object"
                raise InvalidInput(message)
        return values


class _DataConverter(DataConverter):
    """Tells contexts to nobody: in a run the SDK tells the payload converter itself, elsewhere nothing of ours looks.

    The SDK's would be made anew with each of a run's tasks, which takes a tenth of their CPU.
    """

    def with_context(self, context: SerializationContext) -> Self:
        """Stay as it is."""
        del context
        return self


# A run's context is asked for with each of its steps: both answers are made once.
_IN_WORKFLOW, _ELSEWHERE = RunbookPayloadConverter(in_workflow=True), RunbookPayloadConverter()

# Its codec has no keys: it encrypts nothing, and what is encrypted it refuses before a run sees it. So the task is
# retried until a worker with the key takes it; here, input would end the run for good, and a signal would be dropped.
DATA_CONVERTER = _DataConverter(payload_converter_class=RunbookPayloadConverter, payload_codec=AesGcmCodec(()))


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Give the converter, with a codec where there is one; it then encrypts what failures say as well."""
    if codec is None:
        return DATA_CONVERTER
    return dataclasses.replace(
        DATA_CONVERTER,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
