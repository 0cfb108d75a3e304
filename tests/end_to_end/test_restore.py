"""A restore on the whole stack, with the alert that it causes: nobody starts the service but the restore itself."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Page

from tests.end_to_end.conftest import DEPLOYMENT, Stack, eventually, reads, shown
from tests.end_to_end.scaled import runbooks
from tests.workflows.steering import begin, texts, told
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestoreRequest
from workflows.platform.run_status import RunStatus

PICTURE = Path(__file__).parents[2] / "docs/images/restore.png"
"""Written anew where `RUNBOOKS_SCREENSHOTS` is set."""
pytestmark = pytest.mark.timeout(600)

_TABLE = """
    CREATE TABLE IF NOT EXISTS restore_test (id int PRIMARY KEY);
    INSERT INTO restore_test SELECT generate_series(1, 500);
"""


def damaged(url: str) -> datetime:
    """Delete what was there; gives the time before."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        (before,) = connection.execute("SELECT clock_timestamp() FROM pg_sleep(0.2)").fetchone() or (None,)
        connection.execute("SELECT pg_sleep(0.2)")
        connection.execute("DELETE FROM restore_test WHERE id % 3 = 0")
    assert isinstance(before, datetime)
    return before


async def test_an_alert_meanwhile_leaves_the_service_to_the_restore(stack: Stack, page: Page) -> None:
    database = stack.environment.service_database
    await eventually(stack.backed_up)
    target = await asyncio.to_thread(damaged, database.url(stack.primary))
    request = PointInTimeRestoreRequest(target_time=target, notify_customers=False)
    handle = await begin(stack.client, "runbooks", request, "point_in_time_restore")

    async def asked() -> RunStatus | None:
        status = await handle.query("status", result_type=RunStatus)
        return status if status.waiting_for == "decide switch" else None

    async def left() -> bool:
        for run in await stack.runs("Running"):
            status = await run.query("status", result_type=RunStatus)
            if f"is kept stopped by {handle.id} until" in texts(status):
                return True
        return False

    status: RunStatus = await eventually(asked)
    assert "restore_test: 334 → 500 rows" in "\n".join(status.questions[0].evidence)
    await shown(page, stack, handle, "Running", "user-metadata")
    await reads(page, "restore_test: 334 → 500 rows")
    if os.environ.get("RUNBOOKS_SCREENSHOTS"):
        await page.screenshot(path=PICTURE)
    await eventually(left)
    assert stack.read(DEPLOYMENT)["spec"]["replicas"] == 0
    word = ("--role", "dba", "--choice", "switch")
    answer = await asyncio.to_thread(runbooks, stack, "approve", handle.id, *word)
    assert answer.returncode == 0, answer.stdout + answer.stderr

    async def kept() -> bool:
        return (await handle.query("status", result_type=RunStatus)).phase == "Damaged copy kept"

    await eventually(kept)
    assert stack.health()["status"] == "healthy", await told(handle)
    with psycopg.connect(database.url("spare-1")) as connection:
        assert connection.execute("SELECT count(*) FROM restore_test").fetchone() == (500,)
    (run,) = await stack.runs("Running")
    assert (await stack.close(run)).mitigations == []
    await handle.cancel()
