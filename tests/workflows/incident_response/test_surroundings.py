"""What a service needs of others: all that is not well is told, and a replica that does not replay is not late."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from workflows.incident_response.surroundings import Surroundings, _behind


def replica(name: str, lag: float | None, *, replays: bool = True) -> Any:
    return SimpleNamespace(name=name, lag_seconds=lag, replays=replays)


def test_everything_that_was_found_is_told() -> None:
    found = Surroundings(
        dependencies={"cache": "down", "queue": "1 of 2 ready"},
        connections=0.0,
        replicas_behind={"db2": timedelta(seconds=90)},
        database="takes no writes",
    )
    assert str(found) == (
        "cache: down; queue: 1 of 2 ready; database: takes no writes; 0% of the database's connections in use; "
        "replica db2 is 90 s behind"
    )
    assert str(Surroundings()) == "nothing that the service needs of others is known"


def test_only_replicas_that_replay_and_are_later_than_the_limit_are_behind() -> None:
    health: Any = SimpleNamespace(
        replicas=[replica("on", 60), replica("late", 61), replica("logical", 500, replays=False), replica("mute", None)]
    )
    assert _behind(health, timedelta(seconds=60)) == {"late": timedelta(seconds=61)}
