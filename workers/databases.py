"""From the settings' [databases.NAME] to what activities act on: servers, their machines, their backups."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from activities.database.backups.barman import BarmanBackups, BarmanOptions
from activities.database.backups.rds import RdsBackups
from activities.database.servers.command_hosts import CommandHosts
from activities.database.servers.poolers import PoolerCommands
from activities.database.servers.rds_hosts import RdsHosts
from activities.database.servers.servers import Database, Databases, Server
from records_schema.server import DatabaseError, conninfo
from workers import database_settings
from workers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from activities.database.backups.system import BackupSystem
    from activities.database.servers.hosts import HostControl


def check(settings: Settings) -> None:
    """Refuse wrong URLs before anything is made of them.

    Raises:
        SettingsError: a server's URL is none.

    """
    for database, section in settings.databases.items():
        for name, values in section.servers.items():
            _server(database, name, values)


@dataclass(frozen=True)
class DatabaseSystems:
    """All databases, and what stands behind each, by its name."""

    databases: Databases
    hosts: dict[str, "HostControl"]
    backups: dict[str, "BackupSystem"]
    poolers: dict[str, dict[str, PoolerCommands]]


def databases(settings: Settings, rds: Callable[[], Any]) -> DatabaseSystems:
    """Build them; `rds` makes the client of RDS where one of them needs it.

    Raises:
        SettingsError: a server's URL is none.

    """
    made: dict[str, Database] = {}
    hosts: dict[str, HostControl] = {}
    backups: dict[str, BackupSystem] = {}
    poolers: dict[str, dict[str, PoolerCommands]] = {}
    for name, section in settings.databases.items():
        servers = {server: _server(name, server, values) for server, values in section.servers.items()}
        made[name] = Database(name, servers)
        poolers[name] = {
            pooler: PoolerCommands(reconnect=values.reconnect, pause=values.pause, host=values.host)
            for pooler, values in section.poolers.items()
        }
        if section.backend == "rds":
            client = rds()
            options = section.rds or database_settings.RdsSettings()
            hosts[name] = RdsHosts(client, closed=options.security_group, cluster=options.cluster)
            backups[name] = RdsBackups(client, servers)
        else:
            hosts[name] = CommandHosts(name, section.commands.model_dump())
            backups[name] = BarmanBackups(_barman(section, settings))
    return DatabaseSystems(Databases(made), hosts, backups, poolers)


def _server(database: str, name: str, values: database_settings.DatabaseServerSettings) -> Server:
    try:
        conninfo(values.url)
    except DatabaseError:
        raise SettingsError(
            f"databases.{database}.servers.{name}.url: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
    return Server(
        name=name,
        url=values.url,
        directory=values.directory,
        host=values.host,
        instance=values.instance,
        tablespaces=values.tablespaces,
    )


def _barman(section: database_settings.DatabaseSettings, settings: Settings) -> BarmanOptions:
    barman = section.barman
    assert barman is not None, "settings see to it"
    return BarmanOptions(
        program=barman.program,
        server=barman.server,
        config=barman.config and settings.path(barman.config),
        remote=barman.remote,
        model=barman.model,
        waldump=barman.waldump,
    )
