"""All that use a database go where it goes; one that has no Secret of the server is people's to move."""

from types import SimpleNamespace
from typing import Any, cast

from activities.catalogue.workloads import WorkloadPolicy
from tests.workflows.worlds.pointed import a_database
from tests.workflows.worlds.world import World
from workflows.platform.runbook import Runbook
from workflows.shared.database_users import UsersOfTheDatabase


def user(service: str, *servers: str, poolers: tuple[str, ...] = (), workloads: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(
        service=service, namespace=service, servers=dict.fromkeys(servers, ""), poolers=poolers, workloads=workloads
    )


def users(*others: Any) -> UsersOfTheDatabase:
    found = UsersOfTheDatabase(
        cast("Runbook", SimpleNamespace()), World().service, a_database("db1", "db2", poolers=("front",))
    )
    found.others = list(others)
    return found


def test_a_pooler_of_two_services_is_one() -> None:
    found = users(user("shop", poolers=("front", "back")), user("bank", poolers=("back",)))
    assert found.poolers == ["front", "back"]


def test_a_plan_says_who_is_moved_and_who_cannot_be() -> None:
    pooler, moved, left = users(user("shop", "db1", "db2"), user("bank", "db1")).plan("db2")
    assert pooler == "Pooler front: its clients are sent to db2"
    assert moved == "shop uses this database too: it is pointed at db2 as well"
    assert left.startswith("bank uses this database too: is not moved")
    assert "services.bank.database.servers" in left


def test_workloads_of_all_are_seen_to_once() -> None:
    queue = WorkloadPolicy(kind="StatefulSet", name="queue")
    found = users(user("shop", workloads=(queue, queue)))
    assert [at.step for at in found._all] == ["shop-statefulset-queue"]
