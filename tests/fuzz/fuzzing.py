"""Whatever is sent to a run: it is refused or taken, at once, with a sentence; no run sticks, nothing leaks.

Hypothesis makes up what is sent: bytes, JSON of any kind, and requests, words and alerts that are nearly right. A seed
says what it makes, so that a failure is found again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from tests.fuzz.boundary import Boundary, as_json, payload
from workers.examples import example
from workers.registry import PROCEDURES, Procedure

SECRET = "hunter2-canary"
"""In bytes, in signatures and in unknown fields: no refusal may repeat it, where names of runs and services help."""

_PYTHON = ("Traceback", "Error:", "positional argument", "has no attribute", "NoneType", "object is not")
_AT_ONCE = 5

odd_text = st.text(max_size=30) | st.sampled_from(["", "\x00", "\x1b[31m", "\u202e", "x" * 30_000, "-1", "P-1D"])
odd_times = st.sampled_from(
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31",
        "2026-02-04T03:00:00",
        "P999999999D",
        "-P999999999D",
        "PT0.000001S",
        -(10**30),
        1e308,
    ]
)
leaves = odd_times | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_text
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3), max_leaves=8
)
encodings = st.sampled_from(
    ["json/plain", "binary/plain", "binary/null", "binary/protobuf", "json/protobuf", "", "odd/one"]
)


def nearly(hint: Any) -> st.SearchStrategy[Any]:
    """Give what the hint takes, with some of it changed, missing or more."""
    right = example(hint)
    if isinstance(right, list):
        return nearly(hint.__args__[0]).map(lambda one: [one])
    known = st.dictionaries(st.sampled_from([*hint.model_fields]), values, max_size=3)
    secret = st.sampled_from([{}, {}, {"signature": SECRET}, {"unknown": SECRET}, {"unknown": {"deep": [SECRET]}}])
    changes = st.builds(lambda change, more: {**change, **more}, known, secret)
    missing = st.sets(st.sampled_from(sorted(right) or ["none"]), max_size=1)
    return st.builds(
        lambda change, without: {name: value for name, value in {**right, **change}.items() if name not in without},
        changes,
        missing,
    )


def payloads(hint: Any) -> st.SearchStrategy[list[Payload]]:
    """Give what somebody may put into the box: often nearly right."""
    one = (
        nearly(hint).map(as_json)
        | values.map(as_json)
        | st.builds(payload, st.binary(max_size=40) | st.just(f'{{"who": "{SECRET}'), encodings)
    )
    return st.lists(one, max_size=2) | one.map(lambda single: [single])


@dataclass(frozen=True)
class Sent:
    """One thing that is sent."""

    kind: str
    entry: Procedure
    name: str
    payloads: list[Payload]


def _of(entry: Procedure) -> st.SearchStrategy[Sent]:
    definition = workflow._Definition.must_from_class(entry.workflow)
    hints: list[tuple[str, str, Any]] = [("start", "", entry.request)]
    hints += [("signal", name, signal.arg_types[0]) for name, signal in definition.signals.items() if signal.arg_types]  # type: ignore[misc]
    hints += [("update", name, update.arg_types[0]) for name, update in definition.updates.items() if update.arg_types]  # type: ignore[misc]
    return st.one_of([payloads(hint).map(partial(Sent, kind, entry, name)) for kind, name, hint in hints])


sent = st.one_of([_of(entry) for entry in PROCEDURES])


def refusal(message: str) -> None:
    """Fail where a refusal is Python's, is too long, or repeats what was sent."""
    assert SECRET not in message, "a refusal repeats a value"
    assert len(message) < 5000
    assert not any(phrase in message for phrase in _PYTHON), message[:500]


async def _try(border: Boundary, live: dict[str, Any], one: Sent) -> None:
    if one.kind == "start":
        handle: Any = await border.start(one.entry, one.payloads)
        await border.goes_on(handle)
        await border.end(handle)  # first, since what is open now may fail before anybody has looked
        if (await handle.describe()).status is WorkflowExecutionStatus.FAILED:
            failure = await border.failure(handle)
            assert isinstance(failure, ApplicationError), failure
            refusal(failure.message)
        return
    handle = live.get(one.entry.name)
    if handle is None or (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
        handle = live[one.entry.name] = await border.begun(one.entry)
    if one.kind == "signal":
        await border.signal(handle, one.name, one.payloads)
    else:
        try:
            failure_of = await asyncio.wait_for(border.update(handle, one.name, one.payloads), _AT_ONCE)
        except TimeoutError:
            failure_of = None  # it was taken, and waits for a step that nobody takes here
        if failure_of is not None:
            refusal(failure_of.message)
    await border.goes_on(handle)


def fuzz(run: Callable[[Coroutine[Any, Any, None]], None], border: Boundary, *, begin: int, examples: int) -> None:
    """Send so many groups of ten, made from a seed; `run` runs a coroutine on the border's loop.

    Raises:
        AssertionError: a run sticks, a refusal is none; hypothesis shows the smallest group that does it.

    """
    live: dict[str, Any] = {}

    async def group(several: list[Sent]) -> None:
        await asyncio.gather(*(_try(border, live, one) for one in several if one.kind == "start"))
        for one in several:
            if one.kind != "start":
                await _try(border, live, one)

    @seed(begin)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.lists(sent, min_size=5, max_size=10))
    def once(several: list[Sent]) -> None:
        run(group(several))

    once()
