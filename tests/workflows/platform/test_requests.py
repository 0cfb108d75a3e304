"""A request refuses what it doesn't know, and takes no `true` for a number."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from workflows.platform.requests import RunbookRequest, ServiceRequest


class Wanted(RunbookRequest):
    """What a procedure may be asked for."""

    revision: int | None = None
    within: timedelta = timedelta(minutes=1)
    counts: list[int] | None = None
    either: bool | int = False


@pytest.mark.parametrize("field", ["revision", "within", "counts"])
@pytest.mark.parametrize("value", [True, False])
def test_true_is_no_number(field: str, *, value: bool) -> None:
    with pytest.raises(ValidationError, match="true and false are no numbers"):
        Wanted.model_validate({field: value})


def test_true_is_taken_where_it_belongs() -> None:
    found = Wanted.model_validate({"dry_run": True, "either": True})
    assert found.dry_run is True
    assert found.either is True


def test_numbers_are_numbers() -> None:
    assert Wanted.model_validate({"revision": 1}).revision == 1
    assert Wanted.model_validate({"within": "PT2M"}).within == timedelta(minutes=2)


def test_what_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="servce"):
        ServiceRequest.model_validate({"servce": "api"})
