"""Invalid indexes on a real server: which are rebuilt, which nobody needs, and which people must mend."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import Refused
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from activities.database.upkeep.postgres import DropLeftover
from activities.database.upkeep.tables import IndexState
from sandbox.postgres import Postgres
from tests.activities.database.on_postgres import AT, READER, WRITER, OnPostgres, an_effect
from tests.servers import CreateDatabase
from workflows.maintenance.needs import Needs, needs

POLICY = MaintenancePolicy(dead_rows=100, changed_rows=100, index_size=100_000)
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


@pytest.fixture(params=["newest", "oldest"])
def on(
    request: pytest.FixtureRequest, create_database: CreateDatabase, oldest_postgres: Postgres
) -> Iterator[OnPostgres]:
    if request.param == "newest":
        url = create_database()
    else:
        url = oldest_postgres.create_database(f"test_{secrets.token_hex(4)}")
    with ExitStack() as stack:
        yield OnPostgres(url, stack)


def look(on: OnPostgres, **fields: Any) -> DatabaseHealth:
    return on.run(on.postgres.health, DatabaseHealthRequest(**AT, policy=POLICY, **fields))


def needed(on: OnPostgres, **fields: Any) -> Needs:
    return needs(look(on, **fields), POLICY)


def index(on: OnPostgres, name: str) -> IndexState:
    return next(one for one in look(on).indexes if one.name == name)


def drop(on: OnPostgres, left: IndexState) -> bool:
    request = DropLeftover(**AT, index_schema=left.schema_name, index=left.name, oid=left.oid, effect=an_effect("drop"))
    return on.run(on.postgres.drop_leftover, request).applied


def fails(on: OnPostgres, statement: str, *, while_held: str = "") -> None:
    """Have a statement fail as it does where somebody has the table, or where rows forbid it."""
    with ExitStack() as stack:
        if while_held:
            stack.enter_context(on.held(while_held))
        other = on.connect("other")
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.Error):
            other.execute(statement.encode())


def invalidate(on: OnPostgres, name: str) -> None:
    on.sql.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (name,))


# -- rows forbid it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "key"),
    [
        ("CREATE UNIQUE INDEX CONCURRENTLY items_key ON items (name)", "(name)"),
        ("CREATE UNIQUE INDEX CONCURRENTLY items_key ON items (lower(name)) WHERE id > 5", "(lower(name))"),
    ],
)
def test_duplicates_of_a_unique_index_are_named_by_its_key_with_the_way_out(
    on: OnPostgres, build: str, key: str
) -> None:
    on.sql.execute("INSERT INTO items VALUES (5001, 'name 77')")
    fails(on, build)
    (work,) = needed(on).indexes
    request = on.reindex(index="items_key", oid=work.index.oid)
    with pytest.raises(Refused) as refused:
        on.run(on.postgres.reindex, request)
    assert f"duplicates by its key {key}: it can't be made valid" in refused.value.message
    assert refused.value.message.endswith("begin again, or DROP INDEX CONCURRENTLY public.items_key")
    assert "name 77" not in refused.value.message
    see = refused.value.message.partition("See them by ")[2].partition(";")[0]
    assert on.sql.execute(see.encode()).fetchall() == [("name 77", 2)]
    assert set(on.indexes) == {"items_pkey", "items_name", "items_key"}  # nothing is left of the attempt
    on.sql.execute("DELETE FROM items WHERE id = 5001")
    assert on.run(on.postgres.reindex, request).applied
    assert on.indexes["items_key"]


def test_what_people_are_to_type_has_names_as_a_statement_takes_them(on: OnPostgres) -> None:
    """Capitals, as Entity Framework, Hibernate and Prisma have them, and whatever else."""
    on.sql.execute("INSERT INTO items VALUES (5001, 'name 77')")
    fails(on, 'CREATE UNIQUE INDEX CONCURRENTLY "IX_Items Name" ON items (name)')
    with pytest.raises(Refused) as refused:
        on.run(on.postgres.reindex, on.reindex(index="IX_Items Name", oid=on.oid('"IX_Items Name"')))
    on.sql.execute(refused.value.message.rpartition("begin again, or ")[2].encode())
    assert set(on.indexes) == {"items_pkey", "items_name"}
    fails(on, 'CREATE INDEX CONCURRENTLY "IX_ccnew" ON items (name, id)', while_held=WRITER)
    on.sql.execute(needed(on).left_out[0].rpartition("to rebuild it, or ")[2].encode())
    assert set(on.indexes) == {"items_pkey", "items_name"}
    on.sql.execute(
        'CREATE TABLE "Readings" (at date NOT NULL) PARTITION BY RANGE (at);'
        "CREATE TABLE \"Of 2026\" PARTITION OF \"Readings\" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        'CREATE INDEX "IX_At" ON ONLY "Readings" (at); CREATE INDEX part ON "Of 2026" (at)'
    )
    (told,) = needed(on).left_out
    assert '(public."Of 2026")' in told
    attach = told.partition(", then ")[2].replace(" each", " part")
    on.sql.execute(attach.encode())
    assert needed(on).left_out == []


def test_a_row_that_does_not_fit_is_no_server_that_is_away(on: OnPostgres) -> None:
    fails(on, "CREATE INDEX CONCURRENTLY items_odd ON items ((1 / (id - 500)))")
    with pytest.raises(Refused, match=r"a row of items does not fit CREATE INDEX items_odd .*DivisionByZero"):
        on.run(on.postgres.reindex, on.reindex(index="items_odd", oid=on.oid("items_odd")))
    on.sql.execute("DROP INDEX items_odd")
    on.sql.execute(
        "CREATE TABLE pages (body text);"
        "INSERT INTO pages SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 1000) n"
    )
    fails(on, "CREATE INDEX CONCURRENTLY pages_body ON pages (body)")
    with pytest.raises(Refused, match=r"a row of pages does not fit .*ProgramLimitExceeded"):
        on.run(on.postgres.reindex, on.reindex(index="pages_body", oid=on.oid("pages_body")))


# -- nobody needs it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "left"), [(WRITER, "items_name_ccnew"), (READER, "items_name_ccold")])
def test_what_a_crash_of_reindex_left_beside_a_valid_one_may_go(on: OnPostgres, held: str, left: str) -> None:
    fails(on, "REINDEX INDEX CONCURRENTLY items_name", while_held=held)
    found = needed(on)
    assert [one.name for one in found.leftovers] == [left]
    assert found.indexes == []
    assert f"drop public.{left}: a crash of REINDEX CONCURRENTLY has left it; public.items_name has all" in "\n".join(
        found.told()
    )
    assert drop(on, found.leftovers[0])
    assert on.indexes == {"items_pkey": True, "items_name": True}


def test_an_invalid_one_of_another_name_may_go_where_a_valid_one_has_all_of_it(on: OnPostgres) -> None:
    """A build that failed and was made again under another name; pg_repack leaves such as well."""
    fails(on, "CREATE INDEX CONCURRENTLY index_16384 ON items (name)", while_held=WRITER)
    found = needed(on)
    assert [(one.name, one.twin) for one in found.leftovers] == [("index_16384", "public.items_name")]
    assert found.indexes == []
    assert drop(on, found.leftovers[0])


def test_what_somebody_has_half_dropped_is_not_brought_back_but_by_its_name(on: OnPostgres) -> None:
    on.sql.execute(
        "UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false "
        "WHERE indexrelid IN ('items_name'::regclass, 'items_pkey'::regclass)"
    )
    found = needed(on)
    # One of a constraint isn't dropped in that way.
    assert ([one.name for one in found.leftovers], [one.index.name for one in found.indexes]) == (
        ["items_name"],
        ["items_pkey"],
    )
    assert "items_name: somebody's DROP INDEX CONCURRENTLY was broken off" in "\n".join(found.told())
    assert "items_name" in [work.index.name for work in needed(on, indexes=["items_name"]).indexes]
    assert drop(on, found.leftovers[0])
    assert "items_name" not in on.indexes


@pytest.mark.parametrize(
    "build",
    [
        "CREATE UNIQUE INDEX CONCURRENTLY other ON items (name)",
        "CREATE INDEX CONCURRENTLY other ON items (name DESC)",
        "CREATE INDEX CONCURRENTLY other ON items (name text_pattern_ops)",
        'CREATE INDEX CONCURRENTLY other ON items (name COLLATE "C")',
        "CREATE INDEX CONCURRENTLY other ON items (name) WHERE id > 5",
        "CREATE INDEX CONCURRENTLY other ON items (name) INCLUDE (id)",
        "CREATE INDEX CONCURRENTLY other ON items (lower(name))",
        "CREATE INDEX CONCURRENTLY other ON items USING hash (name)",
    ],
)
def test_one_that_has_more_is_rebuilt(on: OnPostgres, build: str) -> None:
    fails(on, build, while_held=WRITER)
    found = needed(on)
    assert (found.leftovers, [work.index.name for work in found.indexes]) == ([], ["other"])
    with pytest.raises(Refused, match="is no leftover, and no valid index has all"):
        drop(on, found.indexes[0].index)
    assert on.run(on.postgres.reindex, on.reindex(index="other", oid=on.oid("other"))).applied
    assert on.indexes["other"]


def test_a_name_alone_makes_no_leftover(on: OnPostgres) -> None:
    fails(on, "CREATE INDEX CONCURRENTLY orders_ccnew ON items (name, id)", while_held=WRITER)
    found = needed(on)
    assert (found.leftovers, found.indexes) == ([], [])
    assert "public.orders_ccnew is invalid and named as REINDEX CONCURRENTLY names its own" in found.left_out[0]
    assert [work.index.name for work in needed(on, indexes=["orders_ccnew"]).indexes] == ["orders_ccnew"]
    with pytest.raises(Refused, match="it stays"):
        drop(on, index(on, "orders_ccnew"))


def test_the_index_of_a_constraint_is_rebuilt_though_another_has_all_of_it(on: OnPostgres) -> None:
    on.sql.execute("CREATE UNIQUE INDEX items_id ON items (id)")
    invalidate(on, "items_pkey")
    found = needed(on)
    assert (found.leftovers, [work.index.constraint for work in found.indexes]) == ([], ["items_pkey"])
    with pytest.raises(Refused, match="is the index of the constraint items_pkey: it stays"):
        drop(on, found.indexes[0].index)
    assert on.run(on.postgres.reindex, on.reindex(index="items_pkey", oid=on.oid("items_pkey"))).applied


def test_of_an_exclusion_constraint_people_are_told(on: OnPostgres) -> None:
    on.sql.execute("CREATE TABLE spans (during int4range, EXCLUDE USING gist (during WITH &&))")
    invalidate(on, "spans_during_excl")
    found = needed(on)
    assert (found.leftovers, found.indexes) == ([], [])
    assert found.left_out == [
        "public.spans_during_excl is invalid, and can't be rebuilt while writes go on: do it by hand"
    ]


# -- TOAST ---------------------------------------------------------------------------------------------------


def test_what_is_left_on_a_toast_table_is_seen_and_may_go(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE TABLE docs (id int, body text);"
        "INSERT INTO docs SELECT n, repeat(md5(n::text), 2000) FROM generate_series(1, 50) n"
    )
    fails(on, "REINDEX TABLE CONCURRENTLY docs", while_held="INSERT INTO docs VALUES (0, 'being written')")
    found = look(on)
    assert found.figures.invalid_indexes == on.one(INVALID) == 1
    todo = needs(found, POLICY)
    (left,) = todo.leftovers
    assert (left.schema_name, left.table, left.toast) == ("pg_toast", "docs", True)
    assert "(TOAST of public.docs)" in "\n".join(todo.told())
    assert drop(on, left)
    assert on.one(INVALID) == 0


def test_the_toast_index_itself_is_rebuilt_also_where_the_table_is_named(on: OnPostgres) -> None:
    on.sql.execute("CREATE TABLE docs (id int, body text)")
    name = on.one(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.reltoastrelid = i.indrelid "
        "WHERE c.relname = 'docs'"
    )
    (work,) = needed(on, indexes=["public.docs"]).indexes
    assert work.index.full_name == name
    request = on.reindex(index_schema="pg_toast", index=work.index.name, oid=work.index.oid)
    assert on.run(on.postgres.reindex, request).applied
    invalidate(on, name)  # nothing known does it: PostgreSQL refuses to rebuild it then
    assert needed(on).left_out == [f"{name} is invalid, and can't be rebuilt while writes go on: do it by hand"]


# -- partitioned tables --------------------------------------------------------------------------------------


def partitioned(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE TABLE readings (at date NOT NULL, device int) PARTITION BY RANGE (at);"
        "CREATE TABLE readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "CREATE TABLE readings_2027 PARTITION OF readings FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');"
        "CREATE INDEX readings_device ON readings (device)"
    )


def test_an_index_of_a_partitioned_table_names_those_of_its_partitions(on: OnPostgres) -> None:
    partitioned(on)
    for name in ("readings_device", "public.readings_device", "readings"):
        found = look(on, indexes=[name])
        assert found.unknown == []
        assert [work.index.name for work in needs(found, POLICY).indexes] == [
            "readings_2026_device_idx",
            "readings_2027_device_idx",
        ]
    assert look(on, indexes=["readings_2026"]).unknown == []


def test_an_attached_one_is_rebuilt_and_not_dropped(on: OnPostgres) -> None:
    partitioned(on)
    on.sql.execute("CREATE INDEX twin ON readings_2026 (device)")
    invalidate(on, "readings_2026_device_idx")
    found = needed(on)
    assert (found.leftovers, [work.index.attached for work in found.indexes]) == ([], ["public.readings_device"])
    with pytest.raises(Refused, match=r"is attached to public\.readings_device: it stays"):
        drop(on, found.indexes[0].index)
    name = found.indexes[0].index.name
    assert on.run(on.postgres.reindex, on.reindex(index=name, oid=on.oid(name))).applied


def test_one_that_partitions_lack_is_told_with_the_way_out(on: OnPostgres) -> None:
    partitioned(on)
    on.sql.execute("CREATE INDEX readings_at ON ONLY readings (at); CREATE INDEX part ON readings_2026 (at)")
    on.sql.execute("ALTER INDEX readings_at ATTACH PARTITION part")
    found = look(on)
    assert found.figures.invalid_indexes == on.one(INVALID) == 1
    (told,) = needs(found, POLICY).left_out
    assert told == (
        "public.readings_at is invalid: partitions have no index for it (public.readings_2027). "
        "CREATE INDEX CONCURRENTLY there, then ALTER INDEX public.readings_at ATTACH PARTITION each"
    )
    invalidate(on, "readings_device")
    (told,) = [text for text in needed(on).left_out if "readings_device" in text]
    assert told.endswith("once all are valid, ALTER INDEX public.readings_device ATTACH PARTITION one again")
