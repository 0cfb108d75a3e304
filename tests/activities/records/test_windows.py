"""Windows in the records: apart from one another, begun once, a hold that ends by itself."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.effects import Change
from activities.common.errors import Refused
from activities.records.windows import (
    CurrentWindowRequest,
    EndWindow,
    MaintenanceWindows,
    MoveWindow,
    ScheduleWindow,
    StartWindow,
)
from tests.records_schema.fixtures import count, effect

AT = datetime(2026, 2, 5, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def windows(records_pool: ConnectionPool[Any]) -> MaintenanceWindows:
    return MaintenanceWindows(records_pool)


def schedule(
    windows: MaintenanceWindows, name: str, *, at: datetime = AT, hours: float = 2, service: str = "web", **plan: bool
) -> Change:
    return windows.schedule(
        ScheduleWindow(
            window_id=name,
            service=service,
            title="Upgrade",
            impact="brief",
            starts_at=at,
            ends_at=at + hours * HOUR,
            effect=effect(f"schedule-{name}", **plan),
        )
    )


def start(windows: MaintenanceWindows, name: str, at: datetime = AT) -> Change:
    return windows.start(
        StartWindow(
            window_id=name,
            service="web",
            at=at,
            ends_at=AT + 2 * HOUR,
            held_until=AT + 3 * HOUR,
            effect=effect(f"start-{name}"),
        )
    )


def move(windows: MaintenanceWindows, name: str, ends_at: datetime) -> Change:
    return windows.move(
        MoveWindow(
            window_id=name,
            service="web",
            ends_at=ends_at,
            held_until=ends_at + HOUR,
            effect=effect(f"move-{name}-{ends_at}"),
        )
    )


def end(windows: MaintenanceWindows, name: str, status: Any = "completed") -> Change:
    return windows.end(
        EndWindow(window_id=name, status=status, at=AT + HOUR, outcome="done", effect=effect(f"end-{name}"))
    )


def current(windows: MaintenanceWindows, at: datetime) -> str | None:
    found = windows.current(CurrentWindowRequest(service="web", at=at)).window
    return found.window_id if found else None


def test_a_window_goes_its_way(windows: MaintenanceWindows, records_sql: psycopg.Connection[Any]) -> None:
    assert schedule(windows, "a").applied
    assert current(windows, AT + HOUR) is None
    assert str(start(windows, "a")) == "window/a: scheduled → in progress"
    assert not start(windows, "a").applied
    assert current(windows, AT + HOUR) == "a"
    assert str(move(windows, "a", AT + 4 * HOUR)) == "window/a: until 2026-02-05 04:00Z → until 2026-02-05 06:00Z"
    assert current(windows, AT + 4.5 * HOUR) == "a"
    assert end(windows, "a").applied
    assert (end(windows, "a").applied, current(windows, AT + HOUR)) == (False, None)
    assert count(records_sql, "maintenance_windows") == 1
    assert count(records_sql, "audit_log") == 4


def test_a_hold_ends_by_itself(windows: MaintenanceWindows) -> None:
    schedule(windows, "a")
    start(windows, "a")
    assert current(windows, AT + 3 * HOUR) is None


@pytest.mark.parametrize(("at", "overlaps"), [(-1, True), (1, True), (2, False), (-2, False)])
def test_windows_of_a_service_do_not_overlap(windows: MaintenanceWindows, at: float, *, overlaps: bool) -> None:
    schedule(windows, "a")
    schedule(windows, "other", service="api")
    if not overlaps:
        assert schedule(windows, "b", at=AT + at * HOUR).applied
        return
    with pytest.raises(Refused, match=r"web has another window then: a \(Upgrade\), 2026-02-05 02:00 to .* run wf-1"):
        schedule(windows, "b", at=AT + at * HOUR)
    end(windows, "a", "cancelled")
    assert schedule(windows, "b", at=AT + at * HOUR).applied


def test_of_two_at_the_same_moment_one_is_refused(windows: MaintenanceWindows) -> None:
    def one(name: str) -> str:
        try:
            return str(schedule(windows, name).applied)
        except Refused:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, ("a", "b"))) == ["True", "refused"]


def test_one_does_not_begin_within_another(windows: MaintenanceWindows) -> None:
    schedule(windows, "a")
    schedule(windows, "b", at=AT + 2.5 * HOUR)
    start(windows, "a")
    with pytest.raises(Refused, match="window a of the service is still in progress"):
        windows.start(
            StartWindow(
                window_id="b",
                service="web",
                at=AT + 2.5 * HOUR,
                ends_at=AT + 4 * HOUR,
                held_until=AT + 5 * HOUR,
                effect=effect("start-b"),
            )
        )
    with pytest.raises(Refused, match="has another window then: b"):
        move(windows, "a", AT + 3 * HOUR)


def test_what_has_ended_does_not_begin_or_move(windows: MaintenanceWindows) -> None:
    schedule(windows, "a")
    end(windows, "a", "cancelled")
    with pytest.raises(Refused, match="is cancelled: it can't begin"):
        start(windows, "a")
    with pytest.raises(Refused, match="is cancelled: its end can't be moved"):
        move(windows, "a", AT + 3 * HOUR)
    with pytest.raises(Refused, match="is not in the records"):
        start(windows, "b")
    assert (end(windows, "c").applied, end(windows, "c").note) == (False, "it was never entered")


def test_a_plan_leaves_nothing(windows: MaintenanceWindows, records_sql: psycopg.Connection[Any]) -> None:
    assert not schedule(windows, "a", dry_run=True).applied
    assert count(records_sql, "maintenance_windows") == count(records_sql, "audit_log") == 0
