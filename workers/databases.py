"""From the settings' [databases.NAME] to what activities act on: servers, their machines, their backups."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from activities.backends.barman import BarmanBackups, BarmanOptions
from activities.backends.command_hosts import CommandHosts
from activities.backends.rds_backups import RdsBackups
from activities.backends.rds_hosts import RdsHosts
from activities.databases import Database, Databases, Server
from database.server import DatabaseError, conninfo
from workers import database_settings
from workers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from activities.backup_system import BackupSystem
    from activities.database_hosts import HostControl


def check(settings: Settings) -> None:
    """Refuse wrong URLs before anything is made of them.

    Raises:
        SettingsError: a server's URL is none.

    """
    for database, section in settings.databases.items():
        for name, values in section.servers.items():
            _server(database, name, values)


def databases(settings: Settings, rds: Callable[[], Any]) -> Databases:
    """Build all databases; `rds` makes the client of RDS where one of them needs it.

    Raises:
        SettingsError: a server's URL is none.

    """
    return Databases({name: _database(name, section, settings, rds) for name, section in settings.databases.items()})


def _database(name: str, section: database_settings.Database, settings: Settings, rds: Callable[[], Any]) -> Database:
    servers = {server: _server(name, server, values) for server, values in section.servers.items()}
    hosts: HostControl
    backups: BackupSystem
    if section.backend == "rds":
        client = rds()
        rds_settings = section.rds or database_settings.Rds()
        hosts = RdsHosts(client, closed=rds_settings.security_group, cluster=rds_settings.cluster)
        backups = RdsBackups(client, servers)
    else:
        hosts = CommandHosts(name, section.commands.model_dump())
        backups = BarmanBackups(_barman(section, settings))
    return Database(name=name, servers=servers, hosts=hosts, backups=backups)


def _server(database: str, name: str, values: database_settings.DatabaseServer) -> Server:
    try:
        conninfo(values.url)
    except DatabaseError:
        message = f"databases.{database}.servers.{name}.url: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise SettingsError(message) from None
    return Server(name=name, url=values.url, directory=values.directory, host=values.host, instance=values.instance)


def _barman(section: database_settings.Database, settings: Settings) -> BarmanOptions:
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
