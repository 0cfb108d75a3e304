"""Bad workflow input fails the run at once instead of sticking it.

A payload that does not decode inside a workflow task makes Temporal retry the task for ever: the run looks
alive and does nothing. This converter turns such input into a failed run with a readable sentence. Activity
and child results go on being retried, because there the code is wrong and not the person. Starters use it too.

Of a request or a signal, what doesn't decode comes through as `Undecodable`, for `workers.interceptors` to refuse: the
SDK would drop a signal and tell nobody, and give no status of a run whose input it has never had.
"""

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    PayloadCodec,
    PayloadConverter,
    SerializationContext,
    WorkflowSerializationContext,
)

from activities.common.errors import InvalidInput, UnknownService
from activities.common.refusable import Refusable
from activities.common.text import fitted
from workers.codec import AesGcmCodec
from workers.settings import explain

_MESSAGE_SHOWN, _STACK_SHOWN = 4000, 20_000
"""Characters of a failure: Temporal takes 4 MB in a message of its own, and a UI shows a screen."""
_FIELDS = 20_000
"""Colons in a payload, ten times what a large onboarding carries. To look at more takes pydantic seconds on a busy
machine, and a workflow task that takes two is tried again and again."""
_A_PERSONS = {InvalidInput.__name__, UnknownService.__name__}
_OURS, _NOTHING = b"json/plain", b"binary/null"


@dataclasses.dataclass(frozen=True)
class Undecodable:
    """What was sent to a run instead of our JSON; only interceptors see it."""

    why: str


def _accepts_none(hint: type[Any]) -> bool:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return type(None) in typing.get_args(hint)
    return hint in {Any, type(None), object}


def _refusable(hint: Any) -> bool:
    """Tell what is refused by an interceptor: one, or a list of them."""
    one = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
    return isinstance(one, type) and issubclass(one, Refusable)


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
_PLAIN = {str, list, dict, int, float, bool}


class RunbookPayloadConverter(CompositePayloadConverter):
    """Pydantic's converter, which in a workflow's context raises `InvalidInput` for what does not decode."""

    def __init__(self, *, in_workflow: bool = False) -> None:
        super().__init__(*_ENCODINGS)
        self._in_workflow = in_workflow

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Encode values; nearly all of ours are JSON, and need not be offered to every other encoding first."""
        payloads: list[Payload] = []
        for value in values:
            plain = type(value) in _PLAIN or isinstance(value, BaseModel)
            encoded = _JSON.to_payload(value) if plain else None
            payloads += super().to_payloads([value]) if encoded is None else [encoded]
        return payloads

    def with_context(self, context: SerializationContext) -> "RunbookPayloadConverter":
        """Know whether payloads are a workflow's own input, and not what a child run of it gives back."""
        if not isinstance(context, WorkflowSerializationContext):
            return _ELSEWHERE
        others = workflow.in_workflow() and workflow.info().workflow_id != context.workflow_id
        return _ELSEWHERE if others else _IN_WORKFLOW

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None) -> list[Any]:
        """Decode payloads.

        In a workflow's context, what is `Refusable`, or in another number than is expected, is `Undecodable` where it
        isn't our JSON: an interceptor says what would be.

        Raises:
            InvalidInput: in a workflow's context only; names the fields, not their values.

        """
        if not self._in_workflow:
            return super().from_payloads(payloads, type_hints)
        try:
            return self._ours(payloads, type_hints)
        except InvalidInput as error:
            if type_hints and not any(_refusable(hint) for hint in type_hints):
                raise
            return [Undecodable(error.message)] * len(payloads)

    def _ours(self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None) -> list[Any]:
        listed = any(typing.get_origin(hint) is list for hint in type_hints or [])
        for payload in payloads:
            encoding = payload.metadata.get("encoding", b"")
            if encoding not in {_OURS, _NOTHING}:
                told = fitted(encoding.decode(errors="replace"), 50) or "no encoding"
                raise InvalidInput(f"{told} is not a JSON object of this procedure's request: send JSON (json/plain)")
            if not listed and payload.data.count(b":") > _FIELDS:
                raise InvalidInput(
                    "the input has more fields than any request of ours: send a JSON object of this one's fields"
                )
        try:
            values = super().from_payloads(payloads, type_hints)
        except ValidationError as error:
            raise InvalidInput(explain(error)) from None
        except Exception as error:  # noqa: BLE001  whatever it is, the run must not stick
            raise InvalidInput(
                f"the input is not a JSON object of this procedure's request ({type(error).__name__})"
            ) from None
        for value, hint in zip(values, type_hints or [], strict=False):
            if value is None and not _accepts_none(hint):
                raise InvalidInput("the input is null; leave it empty or give a JSON object")
        return values


class _Failures(DefaultFailureConverter):
    """Keeps a failure readable: cut to what a person reads, and without Python's account of a person's slip."""

    encoded = False
    """Whether what it says goes through the codec."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Make the failure that history keeps."""
        super().to_failure(exception, payload_converter, failure)
        failure.message = fitted(failure.message, _MESSAGE_SHOWN, lines=True)
        slip = failure.application_failure_info.type in _A_PERSONS
        failure.stack_trace = "" if slip else fitted(failure.stack_trace, _STACK_SHOWN, lines=True)
        if self.encoded:
            told = {"message": failure.message, "stack_trace": failure.stack_trace}
            failure.encoded_attributes.CopyFrom(payload_converter.to_payloads([told])[0])
            failure.message, failure.stack_trace = "Encoded failure", ""


class _EncodedFailures(_Failures):
    encoded = True


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
DATA_CONVERTER = _DataConverter(
    payload_converter_class=RunbookPayloadConverter,
    payload_codec=AesGcmCodec(()),
    failure_converter_class=_Failures,
)


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Give the converter, with a codec where there is one; it then encrypts what failures say as well."""
    if codec is None:
        return DATA_CONVERTER
    return dataclasses.replace(
        DATA_CONVERTER,
        payload_codec=codec,
        failure_converter_class=_EncodedFailures,
    )
