"""A history comes back from its skeleton and bodies to the last byte, and an erased body only leaves its commitment."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from audit.signatures import canonical
from audit.skeleton import commitments, committed, fits, restore, take_apart
from tests.audit.stories import history

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("**/*.json"))

_NUMBERS = some.integers(-(2**53) + 1, 2**53 - 1)
"""What protobuf's JSON writes as numbers: longer ones it writes as text."""

_bytes = some.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode())
_payloads = some.fixed_dictionaries({"metadata": some.dictionaries(some.text(max_size=5), _bytes), "data": _bytes})
_json = some.recursive(
    some.none() | some.booleans() | _NUMBERS | some.text() | _payloads,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=12), inner, max_size=4),
    max_leaves=30,
)


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
def test_a_recorded_history_comes_back_as_it_was(file: Path) -> None:
    recorded = json.loads(file.read_text())
    skeleton, bodies = take_apart(recorded)
    assert len(bodies) > 10
    assert restore(skeleton, bodies) == recorded
    assert commitments(skeleton) == set(bodies)
    for body in bodies.values():
        if len(body.data) > 20:
            assert body.data.encode() not in skeleton


@given(_json)
def test_whatever_it_holds_comes_back_as_it_was(value: Any) -> None:
    skeleton, bodies = take_apart({"history": value})
    assert restore(skeleton, bodies) == {"history": value}
    assert commitments(skeleton) == set(bodies)
    assert canonical(json.loads(skeleton)) == skeleton


def test_the_same_words_have_different_commitments_each_time() -> None:
    _, first = take_apart(history(1, "ada", "ada"))
    _, second = take_apart(history(1, "ada", "ada"))
    assert len({*first, *second}) == 4


def test_an_erased_body_leaves_its_commitment_in_its_place() -> None:
    skeleton, bodies = take_apart(history(1, "keep", "erase"))
    *_, (_, erased) = committed(json.loads(skeleton))
    del bodies[erased]
    kept, gone = (
        event["workflowExecutionSignaledEventAttributes"]["input"]["payloads"][0]
        for event in restore(skeleton, bodies)["events"]
    )
    assert json.loads(base64.b64decode(kept["data"])) == "keep"
    assert gone == {"metadata": kept["metadata"], "commitment": erased}


def test_a_body_fits_only_as_it_was_written() -> None:
    _, bodies = take_apart(history(1, "words"))
    ((commitment, body),) = bodies.items()
    assert fits(commitment, body)
    for field in ("salt", "data"):
        text = getattr(body, field)
        for place in range(len(text)):
            for letter in "Aa0+=":
                if text[place] != letter:
                    changed = text[:place] + letter + text[place + 1 :]
                    assert not fits(commitment, body.model_copy(update={field: changed})), (field, place)
