"""What is in a database, as far as a decision about it needs: rows per table, its own rules, the last transaction.

No row's data is in here, and none gets into a history: counts, names of tables and of rules alone (runbook 7.3 step 5).
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from activities.catalogue.database import SqlCheck
from activities.database.servers.servers import OnServer
from audit.text import counted, noun

_SHOWN = 20


class ContentsRequest(OnServer):
    """Count a database's rows and try its rules."""

    checks: tuple[SqlCheck, ...] = ()
    within: timedelta = Field(description="For all of it; tables not counted by then have no number.")


class CheckResult(BaseModel):
    """How one rule did."""

    name: str
    passed: bool
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {'holds' if self.passed else self.detail or 'broken'}"


class Contents(BaseModel):
    """What was found."""

    tables: dict[str, int | None] = Field(description="Table → its rows; None where they can't be read.")
    last_transaction: datetime | None = Field(
        description="Commit of the last transaction, as far as the server knows: with track_commit_timestamp, or "
        "where it was restored."
    )
    checks: list[CheckResult]
    complete: bool = Field(description="There was time for all tables.")
    seconds: float

    @property
    def broken(self) -> list[CheckResult]:
        """The rules that don't hold."""
        return [check for check in self.checks if not check.passed]

    def __str__(self) -> str:
        unread = sum(rows is None for rows in self.tables.values())
        rows = sum(filter(None, self.tables.values()))
        parts = [f"{counted(rows, 'row')} in {counted(len(self.tables), 'table')}"]
        if unread:
            parts.append(f"{counted(unread, 'table')} not read")
        if self.last_transaction:
            parts.append(f"last transaction at {self.last_transaction:%F %T %Z}")
        parts += [str(check) for check in self.broken]
        return "; ".join(parts)


class TableChange(BaseModel):
    """A table whose rows are not as many as they were."""

    table: str
    before: int | None = Field(description="None: not there, or not readable.")
    after: int | None = Field(description="None: not there, or not readable.")

    def __str__(self) -> str:
        before, after = ("?" if rows is None else str(rows) for rows in (self.before, self.after))
        return f"{self.table}: {before} → {after} {noun(self.after or 0, 'row')}"


class Difference(BaseModel):
    """Two contents beside each other."""

    changed: list[TableChange]
    same: int = Field(description="Tables with as many rows as before.")

    def lines(self) -> list[str]:
        """Say it for a person, one line a table, the first of them."""
        shown = [str(change) for change in self.changed[:_SHOWN]]
        more = len(self.changed) - len(shown)
        rest = [counted(more, "more table differs", "more tables differ")] if more else []
        return [*shown, *rest, counted(self.same, "table has as many rows", "tables have as many rows")]

    def __str__(self) -> str:
        differ = counted(len(self.changed), "table differs", "tables differ")
        return f"{differ} in rows, {self.same} {noun(self.same, 'does', 'do')} not"


def difference(before: Contents | None, after: Contents) -> Difference:
    """Compare what is there with what would be; `before` is None where it couldn't be read at all."""
    was = before.tables if before else {}
    changed = [
        TableChange(table=table, before=was.get(table), after=after.tables.get(table))
        for table in sorted(was.keys() | after.tables.keys())
        if was.get(table) is None or was[table] != after.tables.get(table)
    ]
    return Difference(changed=changed, same=len(was.keys() | after.tables.keys()) - len(changed))
