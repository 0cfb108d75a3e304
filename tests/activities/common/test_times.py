"""Times and spans from outside: what has passed can be reckoned with, by every part."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ValidationError

from activities.catalogue.service import ScalingPolicy
from activities.common.times import LONGEST, Time
from workers.sections import Section
from workers.settings import explain


class Said(BaseModel):
    at: Annotated[AwareDatetime | None, Time()] = None
    on: Annotated[date | None, Time()] = None
    span: Annotated[timedelta | None, Time()] = None
    told: Annotated[datetime, Time(made_fit=True)] = datetime(2026, 2, 4, tzinfo=UTC)


class Waiting(Section):
    within: timedelta = timedelta(seconds=1)


zones = st.sampled_from([UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Etc/GMT+12"), ZoneInfo("America/New_York")])
times = st.datetimes(timezones=zones) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("at", "0001-01-01T00:00:00+14:00", "is outside of the years 1900 to 2199"),
        ("at", "9999-12-31T23:59:59-14:00", "is outside of the years 1900 to 2199"),
        ("on", "0001-01-01", "is outside of the years 1900 to 2199"),
        ("span", "P999999999D", "is longer than 36525 days"),
        ("span", "-P999999999D", "is longer than 36525 days"),
    ],
)
def test_what_nobody_can_reckon_with_is_refused(field: str, value: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Said.model_validate({field: value})
    assert explain(refused.value) == f"{field}: {says}"


@given(times, st.timedeltas())
def test_what_has_passed_can_be_added_to_and_shown_in_any_zone(at: datetime, span: timedelta) -> None:
    try:
        said = Said.model_validate({"at": at, "span": span})
    except ValidationError:
        assert not 1901 < at.year < 2199 or abs(span) > LONGEST
        return
    assert said.at is not None
    assert said.span is not None
    assert said.at.utcoffset() == at.utcoffset(), "as it was signed"
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        assert (said.at.astimezone(ZoneInfo(zone)) + said.span).isoformat()


@given(times)
def test_a_machines_time_is_moved_and_never_refused(at: datetime) -> None:
    told = Said.model_validate({"told": at}).told
    assert told.astimezone(ZoneInfo("Etc/GMT+12"))
    assert told == at or not 1901 < at.year < 2199


def test_a_machines_time_without_a_zone_is_utc_wherever_it_is_read() -> None:
    told = Said.model_validate({"told": "2026-02-04T03:00:00"}).told
    assert told == datetime(2026, 2, 4, 3, tzinfo=UTC)


@pytest.mark.parametrize(("model", "name"), [(ScalingPolicy, "longest_lease"), (Waiting, "within")])
def test_settings_are_held_to_the_same(model: type[BaseModel], name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}: is longer than 36525 days"):
        model.model_validate({name: "P999999999D"})
