"""Bad workflow input fails the run at once instead of sticking it.

A payload that does not decode inside a workflow task makes Temporal retry the task for ever: the run looks
alive and does nothing. This converter turns such input into a failed run with a readable sentence. Activity
results go on being retried, because there the code is wrong and not the person. Starters use it too.
"""

import copy
import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from activities.errors import InvalidInput
from workers.codec import AesGcmCodec
from workers.settings import explain


def _accepts_none(hint: type[Any]) -> bool:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return type(None) in typing.get_args(hint)
    return hint in {Any, type(None), object}


class RunbookPayloadConverter(PydanticPayloadConverter, WithSerializationContext):
    """Pydantic's converter, which in a workflow's context raises `InvalidInput` for what does not decode."""

    def __init__(self) -> None:
        super().__init__()
        self._in_workflow = False

    def with_context(self, context: SerializationContext) -> "RunbookPayloadConverter":
        """Know whether payloads are a workflow's own input."""
        bound = copy.copy(self)
        bound._in_workflow = isinstance(context, WorkflowSerializationContext)  # noqa: SLF001
        return bound

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


# Its codec has no keys: it encrypts nothing, and what is encrypted it refuses before a run sees it. So the task is
# retried until a worker with the key takes it; here, input would end the run for good, and a signal would be dropped.
DATA_CONVERTER = DataConverter(payload_converter_class=RunbookPayloadConverter, payload_codec=AesGcmCodec(()))


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Give the converter, with a codec where there is one; it then encrypts what failures say as well."""
    if codec is None:
        return DATA_CONVERTER
    return dataclasses.replace(
        DATA_CONVERTER,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
