"""How the services' databases are reached: `[databases.NAME]` (runbook 6.2, 7.1, 7.3)."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from workers.sections import Secret, Section


class DatabaseServerSettings(Section):
    """One PostgreSQL server."""

    url: Secret = Field(description="For its administrator (a superuser), with the database's name.")
    directory: str | None = Field(default=None, description="Its data directory, where a restore writes.")
    tablespaces: dict[str, str] = Field(
        default_factory=dict,
        description="Where Barman restores each tablespace to on its machine: name = a directory of this server's own.",
    )
    host: str | None = Field(default=None, description="What commands call its machine, e.g. a name for ssh.")
    instance: str | None = Field(default=None, description="Identifier of its RDS instance.")


class DatabaseCommandsSettings(Section):
    """Programs that act on a server's machine, e.g. `["ssh", "{host}", "sudo", "systemctl", "start", "postgresql"]`.

    No shell is involved. Words may contain {server}, {host} and {directory}, and {source} in `rejoin`: the server to
    follow. Each must succeed where it was done before.
    """

    start: tuple[str, ...] = Field(default=(), description="Start the server, e.g. after a restore.")
    fence: tuple[str, ...] = Field(
        default=(),
        description="It must not take writes again, not even after its machine's restart: stop it, "
        "and leave a standby.signal in its data directory.",
    )
    rejoin: tuple[str, ...] = Field(
        default=(),
        description="Make it a replica of {source}, e.g. by pg_rewind. History keeps the last line it prints.",
    )
    discard: tuple[str, ...] = Field(default=(), description="Stop it, and remove its data directory and tablespaces.")


class PoolerSettings(Section):
    """A connection pooler in front of the servers, e.g. PgBouncer: what makes it wait, and what sends it elsewhere.

    No shell is involved. Words may contain {pooler} and {host}, and in `reconnect` {server} and {server_host}: where
    its clients are to go. Each must succeed where it was done before.
    """

    host: str | None = Field(default=None, description="What commands call its machine, e.g. a name for ssh.")
    pause: tuple[str, ...] = Field(
        default=(),
        description="Clients wait, and what is in flight ends: PgBouncer's PAUSE. Before a restore; nothing where it "
        "isn't given.",
    )
    reconnect: tuple[str, ...] = Field(
        min_length=1,
        description="Its clients go to {server}, and go on where they wait: its configuration, then PgBouncer's "
        "RELOAD, RECONNECT and RESUME.",
    )

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        _fits("pause", self.pause, ("pooler", "host"))
        _fits("reconnect", self.reconnect, ("pooler", "host", "server", "server_host"))
        return self


def _fits(field: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse a word that the run could not fill in."""
    for word in words:
        try:
            word.format_map(dict.fromkeys(known, ""))
        except (KeyError, ValueError, IndexError):
            raise ValueError(f"{field}: {word!r}: known are {', '.join(f'{{{name}}}' for name in known)}") from None


class BarmanSettings(Section):
    """Where Barman runs and what it calls our database."""

    program: tuple[str, ...] = Field(
        default=("barman",),
        min_length=1,
        description="E.g. with another account's sudo, or `ssh barman@backup`: there it must end with the connection.",
    )
    config: Path | None = Field(default=None, description="Its configuration file; its own default where empty.")
    server: str = Field(description="The database's name in its configuration.")
    remote: str | None = Field(
        default=None, description="Its --remote-ssh-command for restores, e.g. `ssh postgres@{host}`."
    )
    model: str | None = Field(
        default=None,
        description="Its configuration model for a server that is the primary, e.g. `tensafe-{server}`. "
        "Without it, its conninfo must lead to the primary by itself.",
    )
    waldump: tuple[str, ...] = Field(default=("pg_waldump",), description="Reads the log; on the workers' own machine.")


class RdsSettings(Section):
    """AWS RDS; `[aws]` says where."""

    security_group: str | None = Field(default=None, description="That lets nobody in: what a fenced instance gets.")
    cluster: str | None = Field(default=None, description="The Multi-AZ or Aurora cluster, where failover is RDS' own.")


class DatabaseSettings(Section):
    """One database with all its servers."""

    backend: Literal["barman", "rds"] = Field(
        default="barman", description="Who takes and restores its backups, and acts on its machines."
    )
    servers: dict[str, DatabaseServerSettings] = Field(min_length=1)
    commands: DatabaseCommandsSettings = DatabaseCommandsSettings()
    poolers: dict[str, PoolerSettings] = Field(
        default_factory=dict, description="By name; services name those they use."
    )
    barman: BarmanSettings | None = None
    rds: RdsSettings | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.backend == "rds":
            if missing := [name for name, server in self.servers.items() if not server.instance]:
                raise ValueError(f"servers: {', '.join(missing)} without `instance`, which the rds backend needs")
        elif self.barman is None:
            raise ValueError("barman: required for the barman backend")
        return self
