"""`[databases.NAME]`: what is missing is named, URLs are never shown, and everything comes out as it is said."""

from pathlib import Path

import pytest

from activities.common.errors import Misconfigured
from activities.database.backups.barman import BarmanBackups
from activities.database.backups.rds import RdsBackups
from activities.database.servers.command_hosts import CommandHosts
from tests.workers.database_files import (
    ON_RDS,
    no_rds,
)
from workers.databases import databases
from workers.settings import load


def test_servers_with_their_backends(file: Path) -> None:
    made = databases(load(), no_rds)
    found = made.databases["tensafe"]
    assert list(found.servers) == ["primary", "spare-1"]
    assert found.server("spare-1").directory == "/var/lib/postgresql/18/main"
    assert isinstance(made.hosts["tensafe"], CommandHosts)
    assert isinstance(made.backups["tensafe"], BarmanBackups)
    assert "hunter2" not in repr(found)


def test_rds_by_the_same_names(file: Path) -> None:
    file.write_text(ON_RDS, encoding="utf-8")
    made = databases(load(), object)
    assert made.databases["tensafe"].server("primary").instance == "tensafe-1"
    assert isinstance(made.backups["tensafe"], RdsBackups)


def test_none_at_all(file: Path) -> None:
    file.write_text("", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"settings have no \[databases.tensafe\]; they have: none"):
        databases(load(), no_rds).databases["tensafe"]
