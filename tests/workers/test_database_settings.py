"""Settings of databases: what is wrong is named, without its value."""

from pathlib import Path

import pytest

from activities.common.errors import Misconfigured
from tests.workers.database_files import (
    FILE,
    ON_RDS,
    no_rds,
)
from workers.databases import databases
from workers.settings import SettingsError, load


def test_names_that_settings_do_not_have(file: Path) -> None:
    with pytest.raises(Misconfigured, match="has no server 'spare-9'; it has: primary, spare-1"):
        databases(load(), no_rds).databases["tensafe"].server("spare-9")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            FILE[: FILE.index("[databases.tensafe.barman]")],
            "databases.tensafe: barman: required for the barman backend",
        ),
        (ON_RDS.replace('instance = "tensafe-1"', ""), "databases.tensafe: servers: primary without `instance`"),
        ("[databases.tensafe.barman]\nserver = 'x'", "databases.tensafe.servers: Field required"),
        (FILE.replace("host =", "hots ="), "databases.tensafe.servers.primary.hots: there is no such field"),
        (FILE.replace("[databases.tensafe.servers.primary]\nurl", "[databases.tensafe.servers.primary]\nuri"), "url"),
        (FILE.replace("postgresql://admin:hunter2@db-1/", "db-1:hunter2"), "databases.tensafe.servers.primary.url"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(file: Path, broken: str, says: str) -> None:
    file.write_text(broken, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        databases(load(), no_rds)
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)


def test_what_the_documentation_shows_can_be_loaded(file: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "databases.md").read_text(encoding="utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    for name in ("primary", "replica_1", "spare_1"):
        secret = tmp_path / f"tensafe_{name}_url"
        secret.write_text(f"postgresql://admin:hunter2@{name}/tensafe", encoding="utf-8")
        shown = shown.replace(f"/run/secrets/{secret.name}", str(secret))
    service = (
        '[services.tensafe-server]\nnamespace = "tensafe"\ndeployment = "tensafe-server"\n'
        'selector = "app=tensafe"\nhealth_url = "http://127.0.0.1:1/health"\n'
    )
    file.write_text(f"{service}{shown}", encoding="utf-8")
    settings = load()
    found = databases(settings, no_rds).databases["tensafe"]
    policy = settings.services["tensafe-server"].database
    assert policy is not None
    assert set(policy.servers) == set(found.servers)
    assert [name for name, server in policy.servers.items() if server.spare] == ["spare-1"]
    assert "hunter2" not in repr(found)
