"""Figures of a day: our own, or an operator's file in their place."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.records.figures import Figures, FiguresRequest

NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)
Read = Callable[..., tuple[float | None, str]]


@pytest.fixture
def read(records_pool: ConnectionPool[Any], tmp_path: Path) -> Read:
    def figure(name: str, at: datetime = NOW) -> tuple[float | None, str]:
        asked = FiguresRequest(names=[name], at=at, zone="Europe/Berlin")
        found = Figures(records_pool, tmp_path).read(asked)
        return found.values[name], found.errors.get(name, "")

    return figure


def test_our_own_figures(read: Read, records_sql: psycopg.Connection[Any]) -> None:
    assert read("mrr") == (None, "")
    records_sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email, created_at, status, monthly_revenue) VALUES "
        "('a', 'a', 'team', 'a@a.example', '2026-11-30 08:00+00', 'active', 10.5), "
        "('b', 'b', 'team', 'b@b.example', '2026-11-29 23:30+00', 'active', 4.5), "  # 00:30 of the 30th in Berlin
        "('c', 'c', 'team', 'c@c.example', '2026-11-29 08:00+00', 'closed', 100)"
    )
    for tenant, at in (("a", "2026-11-30 08:30+00"), ("a", "2026-11-30 09:30+00"), ("b", "2026-11-28 09:30+00")):
        records_sql.execute("SELECT runbooks.record_usage(%s, 'api_call', at => %s)", (tenant, at))
    assert (read("mrr"), read("new_customers"), read("dau")) == ((15.0, ""), (2.0, ""), (1.0, ""))


def test_an_operators_file_takes_the_place_of_ours(read: Read, tmp_path: Path) -> None:
    (tmp_path / "mrr.sql").write_text("SELECT 42 WHERE %(at)s IS NOT NULL AND %(zone)s = 'Europe/Berlin'", "utf-8")
    assert read("mrr") == (42.0, "")
    for text, why in (
        ("SELECT 1, 2", "it must give one row of one number"),
        ("SELECT 'none'", "ValueError"),
        ("DELETE FROM runbooks.tenants RETURNING 1", "it writes, and figures only read"),
        ("SELECT nothing", "the records' schema or role does not fit"),
        ("SELECT 1 / 0", "the records refuse it: a value can't be kept"),
    ):
        (tmp_path / "mrr.sql").write_text(text, "utf-8")
        value, error = read("mrr")
        assert (value, error.startswith(f"mrr.sql: {why}")) == (None, True), error
    assert read("dau") == (0.0, "")
    assert read("none_of_ours")[1] == "none_of_ours.sql: FileNotFoundError"
