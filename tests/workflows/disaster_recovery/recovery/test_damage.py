"""Whether the data are to be brought back: the facts recommend, and people decide."""

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.beside_a_restore import (
    workflow_types,  # noqa: F401
    world,
)
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide
from tests.workflows.steering import begin, told, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


def damaged(outage: Outage) -> None:
    outage.checksum_failures = 3


def down(outage: Outage) -> None:
    outage.up = set()


def primary_down(outage: Outage) -> None:
    outage.up = {"replica-1"}


def pointed_elsewhere(outage: Outage) -> None:
    outage.pointed = None


def unknown(outage: Outage) -> None:
    outage.down |= {"replication.standing", "database_secrets.pointed_at", "backups.list", "postgres.health"}


@pytest.mark.parametrize(
    ("facts", "recommended", "says"),
    [
        (lambda _: None, "no-restore", "primary: answers, takes writes; replicas: replica-1; 1 backup, 1 verified"),
        (damaged, "restore", "3 checksum failures: data is damaged"),
        (down, "restore", "primary is unreachable (connection refused)"),
        (primary_down, None, "replica-1 could be promoted: a failover"),
        (pointed_elsewhere, "restore", "pointed at none of the servers that settings know"),
        (unknown, "no-restore", "no known server: could not be asked; backups could not be read"),
    ],
)
async def test_the_facts_recommend(
    working: Working, client: Client, facts: object, recommended: str | None, says: str
) -> None:
    outage = world()
    facts(outage)  # type: ignore[operator]
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        (asked,) = (await waiting_for(handle, "decide restore")).questions
        assert (asked.recommended, asked.default, asked.kind) == (recommended, "no-restore", "restore")
        assert says in "\n".join(asked.evidence)
        assert outage.restarts == []
        await decide(handle, "restore", "no-restore")
        assert (await handle.result())["outcome"] == "recovered"


async def test_nobody_answers_and_the_data_stay_as_they_are(working: Working, client: Client) -> None:
    outage = world()
    down(outage)
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        result = await handle.result()
        assert "restore: no-restore (no answer)" in await told(handle)
    assert (result["outcome"], result["restored"]) == ("recovered", "")


async def test_without_a_backup_or_where_the_request_says_never_nobody_is_asked(
    working: Working, client: Client
) -> None:
    outage = world()
    outage.backups = []
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await handle.result()
        assert "No restore: there is no backup" in await told(handle)
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(restore="never"), NAME)
        await handle.result()
        assert "No restore: the request says never" in await told(handle)
