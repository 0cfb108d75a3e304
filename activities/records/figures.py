"""Figures of the business, by SQL that an operator may replace (runbook 1.1 step 4, 1.3 step 1).

Each is a file NAME.sql that gives one number, in one row: ours lie beside this module, an operator's in the folder of
the settings' `[figures]`. `%(at)s` is the moment that is asked about and `%(zone)s` the service's time zone. They run
read-only, one transaction each, so that one which is wrong leaves the others alone.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.errors import Misconfigured, Refused
from activities.records.ledger import Ledger
from libraries import psycopg

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_OURS = Path(__file__).with_name("figures_sql")


class FiguresRequest(BaseModel):
    """Which figures, and when."""

    names: list[str]
    at: datetime
    zone: str


class BusinessFigures(BaseModel):
    """Each figure; None where there is no number."""

    values: dict[str, float | None]
    errors: dict[str, str] = Field(default_factory=dict, description="Why a figure could not be had.")

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {'no data' if v is None else format(v, ',.0f')}" for name, v in self.values.items())
        return shown + "".join(f"; {name}: {why}" for name, why in self.errors.items())


class Figures:
    """Runs the files on the records; raises `Unavailable` when these don't answer."""

    def __init__(self, pool: "ConnectionPool[Any]", directory: Path | None) -> None:
        self._ledger = Ledger(pool)
        self._directory = directory

    @activity.defn(name="figures.read")
    def read(self, request: FiguresRequest) -> BusinessFigures:
        """Read them."""
        found = BusinessFigures(values={})
        for name in request.names:
            try:
                found.values[name] = self._one(name, request)
            except (Misconfigured, Refused, OSError, ValueError) as error:
                found.values[name] = None
                found.errors[name] = f"{name}.sql: {getattr(error, 'message', None) or type(error).__name__}"
        return found

    def _one(self, name: str, request: FiguresRequest) -> float | None:
        text = self._file(name).read_text(encoding="utf-8")
        with self._ledger.read() as rows:
            try:
                rows.execute(text.encode(), {"at": request.at, "zone": request.zone})
            except psycopg.errors.ReadOnlySqlTransaction:
                raise Misconfigured("it writes, and figures only read") from None
            columns, answer = rows.description or (), rows.fetchall()
        if len(columns) != 1 or len(answer) != 1:
            raise Misconfigured("it must give one row of one number")
        (value,) = answer[0].values()
        return None if value is None else float(value)

    def _file(self, name: str) -> Path:
        theirs = self._directory / f"{name}.sql" if self._directory else None
        return theirs if theirs is not None and theirs.is_file() else _OURS / f"{name}.sql"
