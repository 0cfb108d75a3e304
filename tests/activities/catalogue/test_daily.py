"""A service's days can be meant: hours that rise, and PromQL of which only the window is left open."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from activities.catalogue.daily import DailyPolicy, in_window


def test_the_window_is_in_seconds_and_a_doubled_dollar_is_one() -> None:
    query = 'rate(x{path=~"/a$$"}[$window]) offset ${window}'
    assert in_window(query, timedelta(hours=12)) == 'rate(x{path=~"/a$"}[43200s]) offset 43200s'
    assert in_window("up", timedelta(hours=1)) == "up"


@pytest.mark.parametrize("query", ["rate(x[$range])", 'x{path=~"/a$"}', "x[$]"])
def test_anything_else_that_is_left_open_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"only \$window can stand in it"):
        in_window(query, timedelta(hours=1))
    for field in ("uptime", "errors"):
        with pytest.raises(ValidationError, match=r"only \$window"):
            DailyPolicy.model_validate({field: query})


def test_the_pulse_ends_no_earlier_than_it_begins() -> None:
    assert DailyPolicy(pulse_from=9, pulse_until=9).pulse
    with pytest.raises(ValidationError, match="pulse_until: must not be before pulse_from"):
        DailyPolicy(pulse_from=10, pulse_until=9)


@pytest.mark.parametrize(("code", "known"), [("DE", True), ("DE-BE", True), ("de", False), ("DE-", False), ("", False)])
def test_a_countrys_days_off_are_named_by_its_code(code: str, *, known: bool) -> None:
    if known:
        assert DailyPolicy(holidays=code).holidays == code
    else:
        with pytest.raises(ValidationError, match="holidays"):
            DailyPolicy(holidays=code)
