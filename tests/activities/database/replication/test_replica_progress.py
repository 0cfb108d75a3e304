"""Whom a standby follows, by what its primary_conninfo says: also where that names several hosts."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from activities.database.replication.replica_progress import Address, addresses, followed

NAMES = {("db-1", 5432): "primary", ("db-2", 5432): "replica-1", ("db-2", 5433): "spare"}
NOBODY = ("", 0)


@pytest.mark.parametrize(
    ("conninfo", "found"),
    [
        ("host=db-1", [("db-1", 5432)]),
        ("host=db-1,db-2 port=5432,5433", [("db-1", 5432), ("db-2", 5433)]),
        ("host=db-1,db-2 port=6000 target_session_attrs=read-write", [("db-1", 6000), ("db-2", 6000)]),
        ("host=db-1,db-2 port=,5433", [("db-1", 5432), ("db-2", 5433)]),
        ("hostaddr=10.0.0.1,10.0.0.2", [("10.0.0.1", 5432), ("10.0.0.2", 5432)]),
        ("user=replicator", [("localhost", 5432)]),
    ],
)
def test_hosts_and_ports(conninfo: str, found: list[Address]) -> None:
    assert addresses(conninfo_to_dict(conninfo)) == found


@pytest.mark.parametrize(
    ("conninfo", "sender", "upstream"),
    [
        ("host=db-1,db-2 port=5432,5432", NOBODY, "primary"),
        ("host=db-9,db-1", NOBODY, "primary"),
        ("host=db-1,db-2", ("db-2", 5432), "replica-1"),  # what sends now says it best
        ("host=db-9", NOBODY, ""),
        ("", NOBODY, ""),
        ("host=db-1,db-2 port=1,2,3", NOBODY, None),
        ("host=db-1 port=x", NOBODY, None),
    ],
)
def test_whom_it_follows(conninfo: str, sender: Address, upstream: str | None) -> None:
    assert followed(conninfo, sender, NAMES) == upstream
