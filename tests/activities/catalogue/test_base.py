"""A policy takes no field that it doesn't have, and no span of time that can't be reckoned with."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from activities.catalogue.base import ServicePolicy


class Waits(ServicePolicy):
    within: timedelta = timedelta(0)


def test_a_span_that_reaches_past_all_calendars_is_refused() -> None:
    assert Waits(within=timedelta(days=365)).within == timedelta(days=365)
    with pytest.raises(ValidationError, match="within"):
        Waits(within=timedelta.max)


def test_a_field_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="forbidden"):
        Waits.model_validate({"whithin": "PT1S"})
