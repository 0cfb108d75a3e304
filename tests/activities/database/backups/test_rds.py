"""Backups by RDS, over moto's real HTTP server.

Moto restores at once and to no time at all, has the latest restorable time be now, and knows no states but `available`:
waiting, and the exactness of a restore, are RDS' own.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Conflict, Misconfigured, NotFound, Refused
from activities.database.backups.backups import (
    BackupCatalogue,
    Backups,
    BackupsRequest,
    CreateBackup,
    FollowPrimary,
    ReachRequest,
    Sealed,
    SealLog,
    VerifyBackup,
)
from activities.database.backups.rds import RdsBackups
from activities.database.backups.restoring import RestoreBackup
from activities.database.backups.system import Reach
from activities.database.servers.command_hosts import CommandHosts
from activities.database.servers.servers import Database, Databases, Server
from sandbox.aws import REGION, Aws
from tests.activities.database.on_backups import an_effect
from tests.servers import CreateDatabase

DATABASE, PRIMARY, SPARE = "tensafe", "primary", "spare-1"


@dataclass
class OnRds:
    """An instance of the test's own with automated backups, and room for a restore of it."""

    rds: Any
    pool: ConnectionPool[Any]
    url: str
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")

    def __post_init__(self) -> None:
        self.create(PRIMARY, BackupRetentionPeriod=7, PubliclyAccessible=True)
        servers = {
            name: Server(name=name, url=SecretStr(self.url), instance=self.instance(name)) for name in (PRIMARY, SPARE)
        }
        hosts = CommandHosts(DATABASE, {"start": ["true"], "discard": ["true"]})
        system = RdsBackups(self.rds, servers, look_every=0.05)
        self.databases = Databases({DATABASE: Database(DATABASE, servers)})
        self.backups = Backups(self.databases, {DATABASE: hosts}, {DATABASE: system}, self.pool)

    def instance(self, server: str) -> str:
        return f"{self.name}-{server}"

    def create(self, server: str, **more: Any) -> None:
        self.rds.create_db_instance(
            DBInstanceIdentifier=self.instance(server),
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="admin",
            MasterUserPassword="very-secret",
            **more,
        )

    def described(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=self.instance(server))
        return dict(found["DBInstances"][0])

    def do(self, method: Any, kind: Any, **values: Any) -> Any:
        return ActivityEnvironment().run(method, kind(database=DATABASE, **values))

    def backup(self) -> str:
        effect = an_effect()
        return str(self.do(self.backups.create, CreateBackup, server=PRIMARY, effect=effect).backup_id)


@pytest.fixture
def on_rds(aws: Aws, records_pool: ConnectionPool[Any], create_database: CreateDatabase) -> Iterator[OnRds]:
    session = boto3.Session(aws_access_key_id="id", aws_secret_access_key="secret", region_name=REGION)
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    on_rds = OnRds(session.client("rds", endpoint_url=aws.url, config=config), records_pool, create_database())
    yield on_rds
    for server in (PRIMARY, SPARE):
        gone = partial(on_rds.rds.delete_db_instance, SkipFinalSnapshot=True)
        try:
            gone(DBInstanceIdentifier=on_rds.instance(server))
        except on_rds.rds.exceptions.DBInstanceNotFoundFault:
            continue


def test_taken_listed_and_checked(on_rds: OnRds) -> None:
    effect = an_effect()
    taken = on_rds.do(on_rds.backups.create, CreateBackup, effect=effect)
    again = on_rds.do(on_rds.backups.create, CreateBackup, effect=effect)
    assert again.backup_id == taken.backup_id
    verdict = on_rds.do(on_rds.backups.verify, VerifyBackup, backup_id=taken.backup_id, effect=an_effect())
    assert verdict.good
    assert "lets nobody check the files" in verdict.detail
    found: BackupCatalogue = on_rds.do(on_rds.backups.catalogue, BackupsRequest)
    (backup,) = [item for item in found.items if item.backup_id == taken.backup_id]
    assert (backup.status, backup.size, backup.verified) == ("done", 20 << 30, True)
    assert found.latest is not None
    assert found.latest > datetime.now(UTC) - timedelta(minutes=1)


def test_two_that_could_be_meant(on_rds: OnRds) -> None:
    on_rds.create(SPARE)
    with pytest.raises(Misconfigured, match=f"no replicas: {on_rds.name}-primary, {on_rds.name}-spare-1"):
        on_rds.do(on_rds.backups.create, CreateBackup, effect=an_effect())


def test_what_can_be_reached(on_rds: OnRds) -> None:
    backup_id = on_rds.backup()

    def reach(target: datetime) -> Reach:
        found: Reach = on_rds.do(on_rds.backups.reach, ReachRequest, backup_id=backup_id, target=target)
        return found

    sealed: Sealed = on_rds.do(on_rds.backups.seal, SealLog, server=PRIMARY, effect=an_effect())
    assert reach(sealed.at).reaches
    assert "log ends at" in reach(datetime.now(UTC) + timedelta(hours=1)).detail
    assert "before snapshot" in reach(datetime.now(UTC) - timedelta(hours=1)).detail
    on_rds.rds.modify_db_instance(DBInstanceIdentifier=on_rds.instance(PRIMARY), BackupRetentionPeriod=0)
    assert "automated backups" in reach(sealed.at).detail


NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "target", "reaches"),
    [
        ({}, NOW - timedelta(days=6), True),
        ({}, NOW - timedelta(days=30), False),
        ({"EarliestTime": NOW - timedelta(days=2)}, NOW - timedelta(days=1), True),
        ({"EarliestTime": NOW - timedelta(days=2)}, NOW - timedelta(days=3), False),
    ],
)
def test_a_snapshot_that_is_older_than_rds_log_reaches_nothing(
    window: dict[str, datetime], target: datetime, *, reaches: bool
) -> None:
    """Moto's snapshots are all of now: RDS' own answers, as its reference has them."""
    name = "main-primary"
    rds = boto3.client("rds", region_name=REGION, aws_access_key_id="id", aws_secret_access_key="secret")
    snapshot = {
        "DBSnapshotIdentifier": "by-hand",
        "DBInstanceIdentifier": name,
        "Status": "available",
        "SnapshotCreateTime": NOW - timedelta(days=31),
    }
    instance = {"DBInstanceIdentifier": name, "BackupRetentionPeriod": 7, "LatestRestorableTime": NOW}
    kept = {"DBInstanceIdentifier": name, "RestoreWindow": window}
    with Stubber(rds) as answers:
        answers.add_response("describe_db_snapshots", {"DBSnapshots": [snapshot]})
        answers.add_response("describe_db_instances", {"DBInstances": [instance]})
        answers.add_response("describe_db_instance_automated_backups", {"DBInstanceAutomatedBackups": [kept]})
        server = Server(name=PRIMARY, url=SecretStr("postgresql://x/y"), instance=name)
        found = RdsBackups(rds, {PRIMARY: server}).reach("by-hand", target, lambda _: None)
    assert found.reaches == reaches
    assert reaches or "can't restore" in found.detail


def test_anothers_snapshot_is_not_ours(on_rds: OnRds) -> None:
    with pytest.raises(NotFound):
        on_rds.do(on_rds.backups.reach, ReachRequest, backup_id="no-such", target=datetime.now(UTC))


def test_restored_beside_it_once(on_rds: OnRds) -> None:
    effect, target, backup_id = an_effect(), datetime.now(UTC), on_rds.backup()
    values = {"backup_id": backup_id, "target": target, "into": SPARE, "effect": effect}
    first = on_rds.do(on_rds.backups.restore, RestoreBackup, **values)
    made = on_rds.described(SPARE)
    assert first.applied
    assert made["DBInstanceStatus"] == "available"
    assert made["PubliclyAccessible"] == on_rds.described(PRIMARY)["PubliclyAccessible"]
    assert made["DBParameterGroups"] == on_rds.described(PRIMARY)["DBParameterGroups"]
    again = on_rds.do(on_rds.backups.restore, RestoreBackup, **values)
    assert again == first.model_copy(update={"applied": False})
    # One that lost its answer before the mark goes on with the instance that there is.
    on_rds.rds.remove_tags_from_resource(ResourceName=made["DBInstanceArn"], TagKeys=["runbooks:restored"])
    assert on_rds.do(on_rds.backups.restore, RestoreBackup, **values).applied
    assert on_rds.described(SPARE)["InstanceCreateTime"] == made["InstanceCreateTime"]


def test_an_instance_of_that_name_is_never_taken_for_ours(on_rds: OnRds) -> None:
    backup_id = on_rds.backup()
    on_rds.create(SPARE)
    values = {"backup_id": backup_id, "target": datetime.now(UTC), "into": SPARE, "effect": an_effect()}
    with pytest.raises((Conflict, Refused), match=r"AlreadyExists|another restore's"):
        on_rds.do(on_rds.backups.restore, RestoreBackup, **values)


def test_a_log_that_nobody_keeps_is_not_followed(on_rds: OnRds) -> None:
    assert on_rds.do(on_rds.backups.follow, FollowPrimary, server=PRIMARY, effect=an_effect()).applied
    on_rds.rds.modify_db_instance(DBInstanceIdentifier=on_rds.instance(PRIMARY), BackupRetentionPeriod=0)
    with pytest.raises(Misconfigured, match="automated backups"):
        on_rds.do(on_rds.backups.follow, FollowPrimary, server=PRIMARY, effect=an_effect())
