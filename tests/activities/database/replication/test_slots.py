"""Before a server takes another's place it is said which subscribers go on, and which have to begin anew."""

import pytest

from activities.database.replication.slots import LogicalReplication, LogicalSlot

GOES_ON = LogicalSlot(name="kept", plugin="pgoutput", active=False, failover=True, synced=True)


@pytest.mark.parametrize(
    "otherwise",
    [{"failover": False}, {"synced": False}, {"invalid": "wal_removed"}],
    ids=lambda change: next(iter(change)),
)
def test_only_a_valid_copy_made_for_failover_survives(otherwise: dict[str, object]) -> None:
    assert GOES_ON.survives
    assert not GOES_ON.model_copy(update=otherwise).survives


def test_a_candidate_s_slots_are_told_apart_by_whether_they_go_on() -> None:
    lost = GOES_ON.model_copy(update={"name": "lost", "synced": False})
    assert LogicalReplication(slots=[GOES_ON, lost], subscriptions=[]).of_candidate("b") == [
        "Logical slots that go on at b: kept",
        "Logical slots on b that may not go on: lost",
        "Subscribers of the old primary's other logical slots have to begin anew",
    ]


def test_a_candidate_without_slots_still_leaves_the_old_primary_s_behind() -> None:
    told = LogicalReplication(slots=[], subscriptions=["orders"]).of_candidate("b")
    assert told == [
        "Subscribers of the old primary's other logical slots have to begin anew",
        "b will subscribe, and write what it gets: orders",
    ]


def test_a_spare_has_none_of_the_slots_whatever_they_are() -> None:
    used = GOES_ON.model_copy(update={"name": "used", "active": True})
    assert LogicalReplication(slots=[GOES_ON, used], subscriptions=[]).of_damaged("spare") == [
        "Logical slots that spare will not have: kept, used (in use); their subscribers have to begin anew"
    ]


def test_nothing_is_told_of_a_spare_where_there_is_nothing_logical() -> None:
    assert LogicalReplication(slots=[], subscriptions=[]).of_damaged("spare") == []
