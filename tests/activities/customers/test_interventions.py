"""A tenant has one open intervention, and only the run that opened it closes it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from activities.common.errors import Refused
from activities.customers.interventions import CloseIntervention, Interventions
from tests.activities.customers.looked_after import NOW, intervention, tenant
from tests.records_schema.fixtures import count, effect


def test_a_tenant_has_one_open_intervention(interventions: Interventions, records_sql: psycopg.Connection[Any]) -> None:
    tenant(records_sql, "acme")
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(interventions.open, intervention("acme", f"open-{n}")) for n in range(4)]
    refused = [one.exception() for one in asked if one.exception()]
    assert len(refused) == 3
    assert all(isinstance(error, Refused) for error in refused)
    assert count(records_sql, "interventions") == 1


def test_opening_and_closing_again_changes_nothing(
    interventions: Interventions, records_sql: psycopg.Connection[Any]
) -> None:
    tenant(records_sql, "acme")
    assert interventions.open(intervention("acme")).applied
    assert not interventions.open(intervention("acme")).applied
    close = CloseIntervention(
        tenant_id="acme", opened_by="run-1", outcome="retained", closed_at=NOW, effect=effect("c")
    )
    theirs = close.model_copy(update={"opened_by": "run-2", "effect": effect("d")})
    assert not interventions.close(theirs).applied
    assert interventions.close(close).applied
    assert not interventions.close(close).applied
    assert records_sql.execute("SELECT outcome FROM runbooks.interventions").fetchall() == [("retained",)]
    assert interventions.open(intervention("acme", "again")).applied


def test_plan_mode_opens_nothing(interventions: Interventions, records_sql: psycopg.Connection[Any]) -> None:
    tenant(records_sql, "acme")
    request = intervention("acme").model_copy(update={"effect": effect("open", dry_run=True)})
    assert not interventions.open(request).applied
    assert count(records_sql, "interventions") == 0
