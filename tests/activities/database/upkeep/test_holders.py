"""What keeps vacuum from its work is told with the way out that fits it."""

import pytest

from activities.database.upkeep.holders import Holder


@pytest.mark.parametrize(
    ("holder", "out"),
    [
        (Holder(kind="prepared transaction", name="a'b"), "ROLLBACK PREPARED 'a''b' ends it"),
        (Holder(kind="replication slot", name="old"), "pg_drop_replication_slot('old')"),
        (Holder(kind="replay", name="", server="r1", state="paused"), "pg_wal_replay_resume() there lets it go on"),
        (
            Holder(kind="replay", name="", server="r1", state="kept 2 hours behind"),
            "hot_standby_feedback = off there ends it",
        ),
    ],
)
def test_each_kind_has_its_way_out(holder: Holder, out: str) -> None:
    assert holder.problem.endswith(out)


@pytest.mark.parametrize(
    "holder",
    [
        Holder(kind="session", name="42", user="app", state="idle in transaction"),
        Holder(kind="replay", name="", server="r1", state="late"),
    ],
)
def test_what_only_has_to_end_is_given_no_command(holder: Holder) -> None:
    assert holder.problem == f"{holder} keeps vacuum from removing rows that died since"


def test_a_slot_of_a_logical_reader_keeps_rows_of_the_catalogue_alone() -> None:
    holder = Holder(kind="replication slot", name="cdc", of="shop", state="active", catalogue=True)
    assert "replication slot cdc of shop, active keeps" in holder.problem
    assert "removing rows of the system catalogue that died" in holder.problem


def test_a_temporary_table_goes_with_its_session_or_by_a_drop() -> None:
    problem = Holder(kind="temporary table", name="pg_temp_3.t", user="app", transactions=1).problem
    assert "rows that are 1 transaction old" in problem
    assert problem.endswith("DROP TABLE pg_temp_3.t")


def test_a_replica_is_told_by_its_address_its_slot_and_whom_it_follows() -> None:
    holder = Holder(kind="replica", name="r2", address="10.0.0.2", slot="s2", follows="r1", asked="not known")
    assert "replica r2 (10.0.0.2, slot s2, it follows r1) by its hot_standby_feedback" in str(holder)
    assert str(holder).endswith("not known")
    assert "replica r2 by its" in str(Holder(kind="replica", name="r2", asked="not known"))
