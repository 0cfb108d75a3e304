"""What a run costs is known: a procedure that writes more into its history than it did says so."""

from tests.replay.cost import Cost, changes, recorded, table

ACCEPT = "If that is meant, `python -m tests.replay.cost` writes tests/replay/cost.toml anew; commit it and say why."


def test_recorded_runs_cost_what_is_known() -> None:
    found = changes(table(), recorded())
    assert not found, "\n".join([*found, ACCEPT])


def test_growth_is_said_in_a_sentence_and_other_ids_are_none() -> None:
    known = {"a": Cost(100, 10_000), "b": Cost(100, 10_000), "gone": Cost(1, 1)}
    assert changes(known, {"a": Cost(100, 10_190), "b": Cost(100, 9_810), "gone": Cost(1, 1)}) == []
    assert changes(known, {"a": Cost(101, 10_000), "b": Cost(100, 9_000), "new": Cost(1, 1)}) == [
        "a has grown from 100 events of 10,000 bytes to 101 of 10,000",
        "b has shrunk from 100 events of 10,000 bytes to 100 of 9,000",
        "gone is in the table and has no recorded history",
        "new is not in the table",
    ]
