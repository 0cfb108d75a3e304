"""Brings the schema up to date: all or nothing, once, whoever else tries at the same moment.

Alembic keeps the versions and their order; ours is only that everything happens in one transaction that holds
an advisory lock. So a second starter waits and finds nothing left to do, and a starter that is killed leaves
neither half a schema nor a lock: both belong to its connection and go with it.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from libraries import psycopg
from records_schema.server import DatabaseError, connect, reason

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x72756E626F6F6B73  # "runbooks" in ASCII: any constant will do, if nobody else uses it
_LOCK_TIMEOUT = "10min"
_MIGRATIONS = Path(__file__).parent / "migrations"


_STATUS_PAGE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runbooks_status_page') THEN
        GRANT USAGE ON SCHEMA runbooks TO runbooks_status_page;
        GRANT SELECT ON runbooks.status_page, runbooks.status_updates, runbooks.maintenance_notices
            TO runbooks_status_page;
    END IF;
END $$
"""
"""What the public page shows, and no more; each time, since the role may be younger than the tables."""


@dataclass(frozen=True)
class SchemaStatus:
    """Where a database stands; `current` is None for an empty one."""

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is left to apply."""
        return not self.pending


def migrate(url: SecretStr | str, *, wait: float = 30.0) -> tuple[str, ...]:
    """Apply what is missing, oldest first, and name it; waits up to `wait` seconds for the server.

    Raises:
        DatabaseError: the server does not answer or refuses, or a migration fails: nothing is applied then.

    """
    from alembic import command  # noqa: PLC0415 # 0.3 s that other users of the package need not spend
    from sqlalchemy import NullPool, create_engine, text  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    raw = connect(url, wait=wait)
    with contextlib.suppress(psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
        # Where platform and version can do it (from 14 on), a killed starter is noticed even inside a long statement.
        raw.execute("SET client_connection_check_interval = '1s'")
    raw.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    raw.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS runbooks"))
            config = _config()
            config.attributes["connection"] = connection
            pending = _status(raw).pending
            command.upgrade(config, "head")
            connection.execute(text(_STATUS_PAGE))
    except DBAPIError as error:
        cause = error.orig
        raise DatabaseError(f"migration failed, nothing was applied: {_explain(cause)}") from None
    finally:
        raw.close()
    return pending


def status(url: SecretStr | str, *, wait: float = 5.0) -> SchemaStatus:
    """Read where a database stands.

    Raises:
        DatabaseError: the server does not answer or refuses.

    """
    with connect(url, wait=wait) as connection:
        try:
            return _status(connection)
        except psycopg.Error as error:
            raise DatabaseError(f"cannot read the schema's version: {_explain(error)}") from None


def _status(connection: "psycopg.Connection") -> SchemaStatus:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 # as above

    scripts = ScriptDirectory.from_config(_config())
    versions = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    there = connection.execute("SELECT to_regclass('runbooks.alembic_version')").fetchone()
    current = None
    if there is not None and there[0] is not None:
        row = connection.execute("SELECT version_num FROM runbooks.alembic_version").fetchone()
        current = row[0] if row else None
    if current is not None and current not in versions:
        raise DatabaseError(f"the schema is at {current}, which this release is too old to know")
    done = versions.index(current) + 1 if current is not None else 0
    return SchemaStatus(current=current, head=versions[-1], pending=tuple(versions[done:]))


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 # as above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _explain(error: BaseException | None) -> str:
    """Say what PostgreSQL objected to: its message names objects, and never a connection's secrets."""
    if not isinstance(error, psycopg.Error):
        return type(error).__name__
    return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})" if error.sqlstate else reason(error)
