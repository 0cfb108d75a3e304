"""Evenings of a service, and what its day was like."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb
from temporalio.client import Client

from activities.catalogue.daily import DailyPolicy
from tests.workflows.steering import begin
from tests.workflows.worlds.day import Day
from workflows.daily_operations.end_of_day import EndOfDayRequest

NAME = "end_of_day"


BERLIN = ZoneInfo("Europe/Berlin")


POLICY = DailyPolicy(uptime="avg_over_time(service_up[$window])", errors="sum(increase(http_requests_total[$window]))")


HANDED_OVER = """
INSERT INTO runbooks.incidents
       (incident_id, severity, title, service, commander, opened_at, workflow_id, run_id, effect_key)
VALUES ('INC-7', 'P2', 'slow *again*', 'tensafe-server', 'ada', now(), 'w', 'r', 'i');
INSERT INTO runbooks.support_tickets
       (ticket_id, tenant_id, priority, title, description, opened_at, update_due_at, workflow_id, run_id, effect_key)
VALUES ('T-1', 'acme', 'P1', 'Jobs hang', '', now() - interval '3 days', now() - interval '1 hour', 'w', 'r', 't');
INSERT INTO runbooks.deployments (service, version, status, deployer, started_at, workflow_id, run_id, effect_key)
VALUES ('tensafe-server', 'v1.2.5', 'started', 'grace', now(), 'w', 'r', 'd');
INSERT INTO runbooks.on_call_rotations VALUES ('primary', '');
INSERT INTO runbooks.on_call_contacts (name) VALUES ('lea');
INSERT INTO runbooks.on_call_shifts (rotation, contact, during)
VALUES ('primary', 'lea', tstzrange(now() - interval '1 day', now() + interval '2 days'));
"""


WINDOW = """
INSERT INTO runbooks.maintenance_windows
       (window_id, service, title, impact, starts_at, ends_at, held_until, workflow_id, run_id, effect_key)
VALUES (%s, %s, %s, 'Short', %s, %s, %s, 'w', 'r', %s)
"""


def today() -> date:
    return datetime.now(BERLIN).date()


def report(day: Day, ago: int, **figures: float | None) -> None:
    day.sql.execute(
        "INSERT INTO runbooks.daily_reports (service, day, time_zone, made_at, figures, handoff, workflow_id, run_id, "
        "effect_key) VALUES ('tensafe-server', %s, 'Europe/Berlin', now(), %s, '', 'w', 'r', %s)",
        (today() - timedelta(days=ago), Jsonb(figures), f"report {ago}"),
    )


async def evening(client: Client, queue: str, **fields: Any) -> dict[str, Any]:
    handle = await begin(client, queue, EndOfDayRequest(**fields), NAME)
    result: dict[str, Any] = await handle.result()
    return result


def line(handoff: str, begins: str) -> str:
    return next(line for line in handoff.splitlines() if line.startswith(begins))
