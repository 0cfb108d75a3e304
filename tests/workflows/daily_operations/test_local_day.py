"""A run is about the day that the service's clock shows, and what is done once on it has one identity."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from activities.common.effects import Effect
from tests.workflows.worlds.world import World
from workflows.daily_operations.local_day import LocalDay
from workflows.platform.runbook import Runbook

SERVICE = World().service.model_copy(update={"name": "tensafe-server", "time_zone": "Europe/Berlin"})
LATE = datetime(2026, 2, 3, 23, 30, tzinfo=UTC)
SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


def day(
    monkeypatch: pytest.MonkeyPatch, started: datetime, meant: datetime | None = None, run: str = "one"
) -> LocalDay:
    pairs = [SearchAttributePair(SCHEDULED, meant)] if meant else []
    info = SimpleNamespace(
        workflow_type="MorningStartup",
        workflow_start_time=started,
        typed_search_attributes=TypedSearchAttributes(pairs),
    )
    monkeypatch.setattr(workflow, "info", lambda: info)

    def effect(step: str) -> Effect:
        return Effect(key=f"{run}/{step}", workflow_id=run, run_id=run, actor="ada")

    return LocalDay(cast("Runbook", SimpleNamespace(effect=effect)), SERVICE)


def test_it_is_the_day_of_the_services_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert day(monkeypatch, LATE).day == date(2026, 2, 4)


def test_a_run_that_begins_late_is_about_the_day_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert day(monkeypatch, LATE, datetime(2026, 2, 2, 7, tzinfo=UTC)).day == date(2026, 2, 2)


def test_all_runs_of_a_day_do_the_same_thing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = [day(monkeypatch, LATE, run=run).effect("post", again=False) for run in ("one", "two")]
    assert {effect.key for effect in effects} == {"MorningStartup/tensafe-server/2026-02-04/post"}
    assert [effect.run_id for effect in effects] == ["one", "two"]


def test_who_wants_it_again_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert day(monkeypatch, LATE, run="two").effect("post", again=True).key == "two/post"


@pytest.mark.parametrize(
    ("at", "expected"),
    [(datetime(2026, 2, 4, 6, tzinfo=UTC), "07:00"), (datetime(2026, 2, 3, 22, 59, tzinfo=UTC), "Tue 23:59")],
)
def test_the_weekday_is_told_where_it_is_another(monkeypatch: pytest.MonkeyPatch, at: datetime, expected: str) -> None:
    assert day(monkeypatch, LATE).clock(at) == expected


def test_tomorrow_is_as_long_as_the_clock_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = day(monkeypatch, datetime(2026, 3, 28, 9, tzinfo=UTC)).tomorrow()
    assert (begin.astimezone(UTC).hour, end.astimezone(UTC).hour) == (23, 22)
    assert (begin.date(), end.date()) == (date(2026, 3, 29), date(2026, 3, 30))
