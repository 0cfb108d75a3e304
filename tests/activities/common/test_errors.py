"""A failure says by its class whether another attempt can help, and never carries what it is about."""

from datetime import timedelta

import psycopg
import pytest

from activities.common.errors import (
    ActivityFailure,
    Conflict,
    InvalidInput,
    JustStarting,
    Misconfigured,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
    UnknownService,
    refusing_data,
    unavailable,
)


@pytest.mark.parametrize("kind", [Unavailable, RateLimited, Conflict])
def test_what_may_pass_is_tried_again(kind: type[ActivityFailure]) -> None:
    failure = kind("why", next_retry_delay=timedelta(seconds=7))
    assert (failure.type, failure.non_retryable) == (kind.__name__, False)
    assert failure.next_retry_delay == timedelta(seconds=7)


@pytest.mark.parametrize("kind", [NotFound, Refused, JustStarting, Misconfigured, InvalidInput, UnknownService])
def test_what_would_be_the_same_again_is_not(kind: type[ActivityFailure]) -> None:
    assert (kind("why").type, kind("why").non_retryable) == (kind.__name__, True)


@pytest.mark.parametrize(
    ("system", "says"), [("the records", "the records refuse it: "), ("the database", "the database refuses it: ")]
)
def test_data_that_can_not_be_stored_is_refused_by_the_rule_and_not_by_the_data(system: str, says: str) -> None:
    with pytest.raises(Refused) as caught, refusing_data(system):
        "half \ud800 a character".encode()
    assert caught.value.message.startswith(says)
    assert "half \ud800" not in caught.value.message
    assert caught.value.__cause__ is None


def test_what_is_not_the_datas_fault_comes_through_as_it_is() -> None:
    broken = psycopg.OperationalError("the connection broke")
    with pytest.raises(psycopg.OperationalError) as caught, refusing_data("the records"):
        raise broken
    assert caught.value is broken


def test_a_broken_connection_is_told_by_its_class_alone() -> None:
    with pytest.raises(Unavailable) as caught:
        unavailable("Temporal", ConnectionError("postgresql://ada:secret@host"))
    assert caught.value.message == "Temporal did not answer (ConnectionError)"
