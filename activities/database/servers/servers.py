"""The services' databases as settings name them: how a server is reached, and how its failures become ours.

Runs know names only. URLs, passwords and commands stay here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, SecretStr

from activities.common.errors import Conflict, Misconfigured, NotFound, Refused, Unavailable, refusing_data, unavailable
from activities.database.servers.versions import unsupported
from libraries import psycopg
from records_schema.server import conninfo

if TYPE_CHECKING:
    from psycopg.rows import DictRow

    Connection = psycopg.Connection[DictRow]
else:
    Connection = Any  # for annotations alone: nobody needs psycopg for them

_CONNECT_WITHIN = 3
_ELSEWHERE = {"08001", "08006"}
"""What `postgres_fdw` says where it can't connect, or loses its connection."""


class OnServer(BaseModel):
    """One server of a database."""

    database: str = Field(description="Of the settings' [databases.NAME].")
    server: str = Field(description="Of its servers.")


@dataclass(frozen=True)
class Server:
    """One PostgreSQL server."""

    name: str
    url: SecretStr
    directory: str | None = None
    host: str | None = None
    instance: str | None = None
    tablespaces: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Database:
    """One database with all its servers."""

    name: str
    servers: Mapping[str, Server]

    def server(self, name: str) -> Server:
        """Find a server.

        Raises:
            Misconfigured: settings have none of that name; lists those they have.

        """
        if name not in self.servers:
            raise Misconfigured(f"[databases.{self.name}] has no server {name!r}; it has: {', '.join(self.servers)}")
        return self.servers[name]


class Databases:
    """All of them."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    def __getitem__(self, name: str) -> Database:
        """Find a database.

        Raises:
            Misconfigured: settings have none of that name.

        """
        if name not in self._databases:
            known = ", ".join(self._databases) or "none"
            raise Misconfigured(f"settings have no [databases.{name}]; they have: {known}")
        return self._databases[name]

    @contextmanager
    def connect(
        self, at: OnServer, *, statement_timeout: timedelta | None = timedelta(seconds=10), database: str | None = None
    ) -> Iterator[Connection]:
        """Connect as the administrator, in autocommit mode, rows as dicts.

        Args:
            at: Which server.
            statement_timeout: That one statement may take; None where it takes what it takes.
            database: Another one on the same server than the URL names.

        Raises:
            Misconfigured: settings don't have it, it is older than PostgreSQL 13, the password is wrong, or an
                extension is missing.
            Unavailable: it doesn't answer, is starting up, or ended while it worked.
            Conflict: a lock or a serialisation kept it from working now.
            Refused: the server refuses the statement; names the kind, not the data.

        """
        parts = self.parameters(at, statement_timeout=statement_timeout)
        if database is not None:
            parts["dbname"] = database
        with (
            failures(f"{at.database}/{at.server}"),
            psycopg.connect(**parts, autocommit=True, row_factory=psycopg.rows.dict_row) as connection,
        ):
            if why := unsupported(connection.info.server_version):
                raise Misconfigured(f"PostgreSQL server {at.database}/{at.server} {why}")
            yield connection

    @contextmanager
    def on_primary(
        self, database: str, *, statement_timeout: timedelta = timedelta(seconds=10)
    ) -> Iterator[Connection]:
        """Connect to the one server that takes changes, as `connect` does.

        Raises:
            Unavailable: none answers that does.
            Refused: there are two.

        """
        found, silent = [], []
        for name in self[database].servers:
            at = OnServer(database=database, server=name)
            try:
                with self.connect(at) as connection:
                    row: dict[str, Any] = connection.execute("SELECT pg_is_in_recovery() AS follows").fetchone() or {}
                    if not row["follows"]:
                        found.append(at)
            except Unavailable as error:
                silent.append(error.message)
        if not found:
            raise Unavailable(f"no server of {database} takes changes: {'; '.join(silent) or 'all follow another'}")
        if len(found) > 1:
            both = " and ".join(at.server for at in found)
            raise Refused(f"{both} of {database} both take changes: see database-failover (7.1)")
        with self.connect(found[0], statement_timeout=statement_timeout) as connection:
            yield connection

    def parameters(self, at: OnServer, *, statement_timeout: timedelta | None) -> dict[str, Any]:
        """Give libpq's parameters for a connection as the administrator. The password is among them.

        Raises:
            Misconfigured: settings don't have the server.

        """
        parts: dict[str, Any] = dict(conninfo(self[at.database].server(at.server).url))
        limit = 0 if statement_timeout is None else round(statement_timeout.total_seconds() * 1000)
        parts["options"] = f"{parts.get('options') or ''} -c statement_timeout={limit} -c timezone=UTC".strip()
        parts.setdefault("application_name", "runbooks")
        parts.setdefault("connect_timeout", _CONNECT_WITHIN)
        parts.setdefault("tcp_user_timeout", 5000)
        parts.setdefault("keepalives_idle", 30)  # a statement of hours is silent, and routers forget who is silent
        return parts


def _of_a_foreign_server(error: "psycopg.Error") -> bool:
    """Tell whether a server that lives says it of another one, whose tables it has (`postgres_fdw` and the like)."""
    state = error.sqlstate or ""
    return (state in _ELSEWHERE or state.startswith("HV")) and error.diag.severity_nonlocalized == "ERROR"


@contextmanager
def failures(server: str) -> Iterator[None]:
    """Turn PostgreSQL's failures into ours, without texts that could hold data.

    Raises:
        Misconfigured, Unavailable, Conflict, NotFound, Refused: as `Databases.connect` says.

    """
    system = f"PostgreSQL server {server}"
    try:
        with refusing_data(system):
            yield
    except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification) as error:
        raise Misconfigured(f"{system} doesn't let us in ({type(error).__name__})") from None
    except (
        psycopg.errors.UndefinedFile,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.InsufficientPrivilege,
    ) as e:
        raise Misconfigured(f"{system} can't do it ({type(e).__name__}): {e.diag.message_primary or ''}") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject, psycopg.errors.InvalidCatalogName) as error:
        raise NotFound(f"{system}: {error.diag.message_primary or type(error).__name__}") from None
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.QueryCanceled,
        psycopg.errors.TransactionRollback,
        psycopg.errors.ObjectInUse,
    ) as error:
        raise Conflict(f"{system} was busy ({type(error).__name__})") from None
    except psycopg.errors.ProgramLimitExceeded as error:  # an operational error by its class; no waiting helps
        raise Refused(f"{system} refused it ({type(error).__name__})") from None
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if _of_a_foreign_server(error):
            raise Refused(
                f"{system} answers, and a foreign server that one of its tables is on does not ({type(error).__name__})"
            ) from None
        unavailable(system, error)
    except psycopg.Error as error:
        raise Refused(f"{system} refused it ({type(error).__name__})") from None
