"""What a database needs, by its health and the settings' thresholds (runbook 6.2 step 1): no more than that."""

from collections.abc import Iterator

from pydantic import BaseModel

from activities.catalogue.database import MaintenancePolicy
from activities.database.upkeep.health import DatabaseHealth, size
from activities.database.upkeep.tables import IndexState, TableState, is_leftover
from audit.text import counted, noun


class TableWork(BaseModel):
    """A table to be vacuumed and analyzed."""

    table: TableState
    freeze: bool
    analyze_only: bool = False
    why: str

    @property
    def verb(self) -> str:
        """What is done."""
        return "analyze" if self.analyze_only else "vacuum"


class IndexWork(BaseModel):
    """An index to be rebuilt."""

    index: IndexState
    why: str


class Needs(BaseModel):
    """What is to be done, the most urgent first; and what is left for another time."""

    tables: list[TableWork]
    indexes: list[IndexWork]
    leftovers: list[IndexState]
    left_out: list[str]

    @property
    def nothing(self) -> bool:
        """Whether all is well."""
        return not (self.tables or self.indexes or self.leftovers)

    def told(self) -> Iterator[str]:
        """Say each, and why."""
        if self.nothing:
            yield "nothing needs vacuum or reindex"
        yield from (f"{work.verb} {work.table.full_name}: {work.why}" for work in self.tables)
        yield from (f"reindex {work.index.full_name}{work.index.of_table}: {work.why}" for work in self.indexes)
        yield from (f"drop {index.full_name}{index.of_table}: {needless(index)}" for index in self.leftovers)
        yield from self.left_out


def needs(health: DatabaseHealth, policy: MaintenancePolicy) -> Needs:
    """Decide; what the request names comes first, and is done whatever its state."""
    # With a partitioned table that is asked for, its partitions are vacuumed.
    whole = {table.oid for table in health.tables if table.partitioned and table.named}
    one_by_one = [table for table in health.tables if not whole.intersection(table.part_of)]
    tables = [task for table in one_by_one if (task := _table(table, health, policy))]
    tables.sort(key=lambda work: (not work.table.named, not work.freeze, -work.table.dead, work.analyze_only))
    indexes = [work for index in health.indexes if (work := _index(index, policy))]
    indexes.sort(key=lambda work: (not work.index.named, work.index.valid, -work.index.wasted))
    most_tables = max(policy.most_tables, sum(work.table.named for work in tables))
    most_indexes = max(policy.most_indexes, sum(work.index.named for work in indexes))
    by_hand = [
        f"{index.full_name} is invalid, and can't be rebuilt while writes go on: do it by hand"
        for index in health.indexes
        if not (index.valid or index.needless or index.being_built or index.concurrently)
    ]
    by_hand += [_unclear(index) for index in health.indexes if _is_unclear(index)]
    by_hand += [_not_whole(index) for index in health.indexes if index.partitioned and not index.valid]
    more = (
        (
            max(len(tables) - most_tables, 0) + health.more_tables,
            ("more table waits", "more tables wait"),
            "most_tables",
        ),
        (
            max(len(indexes) - most_indexes, 0) + health.more_indexes,
            ("more index waits", "more indexes wait"),
            "most_indexes",
        ),
    )
    return Needs(
        tables=tables[:most_tables],
        indexes=indexes[:most_indexes],
        leftovers=[index for index in health.indexes if index.needless],
        left_out=[*by_hand, *(f"{counted(n, *wait)} for the next run ({limit})" for n, wait, limit in more if n > 0)],
    )


def _table(table: TableState, health: DatabaseHealth, policy: MaintenancePolicy) -> TableWork | None:
    why = []
    old = table.age >= policy.freeze_share * health.freeze_max_age
    freeze = old or table.multixact_age >= policy.freeze_share * health.multixact_freeze_max_age
    if table.named:
        why.append("asked for")
    if freeze:
        kind, age = ("transaction", table.age) if old else ("multixact", table.multixact_age)
        why.append(f"its oldest row is {age:,} {noun(age, kind)} old")
    if table.dead >= policy.dead_rows and table.dead_share >= policy.dead_share:
        why.append(f"{table.dead:,} dead {noun(table.dead, 'row')} ({table.dead_share:.0%})")
    if table.changed >= max(policy.changed_rows, policy.changed_share * table.rows):
        why.append(f"{table.changed:,} {noun(table.changed, 'row')} changed since its statistics were made")
    if table.partitioned and why and not table.named:
        why.append("nothing but this makes those of a partitioned table")
    analyze_only = table.partitioned and not table.named
    if table.heirs_changed and table.heirs_changed >= max(policy.changed_rows, policy.changed_share * table.heirs_rows):
        analyze_only = analyze_only or not why
        rows = f"{table.heirs_changed:,} {noun(table.heirs_changed, 'row')}"
        why.append(f"{rows} of tables that inherit from it changed, and nothing but this makes the statistics of all")
    return TableWork(table=table, freeze=freeze, analyze_only=analyze_only, why=", ".join(why)) if why else None


def needless(index: IndexState) -> str:
    """Say why an index may go."""
    left = "a crash of REINDEX CONCURRENTLY has left it" if index.leftover else "it is invalid, queries don't use it"
    if index.half_dropped:
        left = "somebody's DROP INDEX CONCURRENTLY was broken off, and neither queries nor writes use it"
    other = f"{index.twin} has all that it would have" if index.twin else ""
    return f"{left}; {other}" if other else left


def _is_unclear(index: IndexState) -> bool:
    of_reindex = not index.valid and is_leftover(index.name) and index.concurrently
    return of_reindex and not (index.named or index.needless or index.being_built)


def _unclear(index: IndexState) -> str:
    return (
        f"{index.full_name}{index.of_table} is invalid and named as REINDEX CONCURRENTLY names its own, but no other "
        f"index has what it would have: name it in `reindex` to rebuild it, or "
        f"DROP INDEX CONCURRENTLY {index.in_sql}"
    )


def _not_whole(index: IndexState) -> str:
    attach = f"ALTER INDEX {index.in_sql} ATTACH PARTITION"
    if index.lacking:
        return (
            f"{index.full_name} is invalid: partitions have no index for it ({', '.join(index.lacking)}). "
            f"CREATE INDEX CONCURRENTLY there, then {attach} each"
        )
    return f"{index.full_name} is invalid, as one of its partitions' is or was: once all are valid, {attach} one again"


def _index(index: IndexState, policy: MaintenancePolicy) -> IndexWork | None:
    if index.needless or _is_unclear(index) or index.being_built or index.partitioned or not index.concurrently:
        return None
    why = []
    if index.named:
        why.append("asked for")
    if not index.valid:
        why.append("it is invalid")
    if index.size >= policy.index_size and (index.bloat or 0) >= policy.index_bloat:
        why.append(f"{index.bloat:.0%} of {size(index.size)} is waste")
    return IndexWork(index=index, why=", ".join(why)) if why else None
