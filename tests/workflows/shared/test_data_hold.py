"""Where a service's data is, is changed by one run at a time, and only where settings know the server."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import workflow

from activities.common.errors import Refused
from activities.kubernetes.database_secrets import PointedAt
from tests.workflows.worlds.pointed import a_database
from tests.workflows.worlds.world import World
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold

UNTIL = datetime(2026, 2, 4, tzinfo=UTC)


def hold(found: PointedAt) -> DataHold:
    async def step(*_: Any) -> PointedAt:
        return found

    run = cast("Runbook", SimpleNamespace(step=step, dry_run=True))
    return DataHold(run, "7.1", World().service, a_database("db1", "db2"))


@pytest.fixture(autouse=True)
def me(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "info", lambda: SimpleNamespace(workflow_id="me"))


@pytest.mark.parametrize("held_by", [None, "me"])
async def test_the_server_is_told_to_who_holds_it_and_where_nobody_does(held_by: str | None) -> None:
    assert await hold(PointedAt.model_construct(server="db2", held_by=held_by, held_until=None)).primary() == "db2"


async def test_a_run_beside_another_is_refused() -> None:
    with pytest.raises(Refused, match="restore-1 changes where the data of this service is"):
        await hold(PointedAt.model_construct(server="db2", held_by="restore-1", held_until=UNTIL)).primary()


async def test_a_server_that_settings_do_not_know_is_refused() -> None:
    with pytest.raises(Refused, match="has none of the servers' URLs"):
        await hold(PointedAt.model_construct(server=None, held_by=None, held_until=None)).primary()


def test_each_server_is_known_by_its_secret() -> None:
    found = hold(PointedAt(server=None)).secrets
    policy = a_database("db1", "db2")
    assert found.servers == {name: server.secret for name, server in policy.servers.items()}
    assert len(set(found.servers.values())) == 2


async def test_a_plan_holds_nothing_and_lets_nothing_go() -> None:
    await hold(PointedAt(server=None)).release()  # any step of it would fail: this run can do none
