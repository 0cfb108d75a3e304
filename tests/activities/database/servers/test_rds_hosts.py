"""Instances of RDS over moto's real HTTP server: fenced, promoted, failed over, deleted, each once.

Moto knows the states of an instance, but not the time that they take.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Misconfigured, NotFound, Refused, Unavailable
from activities.database.servers import rds_hosts
from activities.database.servers.rds_hosts import RdsHosts
from activities.database.servers.servers import Server
from sandbox.aws import REGION, Aws


@dataclass
class OnRds:
    """An instance of the test's own with a read replica, and a group that lets nobody in."""

    rds: Any
    closed: str
    cluster: str | None = None
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")

    def server(self, name: str) -> Server:
        return Server(name=name, url=SecretStr("postgresql://x/y"), instance=f"{self.name}-{name}")

    def described(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=f"{self.name}-{name}")
        return dict(found["DBInstances"][0])

    def create(self, name: str, **more: Any) -> None:
        self.rds.create_db_instance(
            DBInstanceIdentifier=f"{self.name}-{name}",
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="admin",
            MasterUserPassword="very-secret",
            **more,
        )

    def do(self, verb: str, *servers: str, closed: bool = True) -> Any:
        hosts = RdsHosts(self.rds, closed=self.closed if closed else None, cluster=self.cluster, look_every=0.05)
        return ActivityEnvironment().run(getattr(hosts, verb), *(self.server(server) for server in servers))


@pytest.fixture
def clients(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    config = Config(retries={"total_max_attempts": 1})
    session = boto3.Session(region_name=REGION)
    rds, ec2 = (session.client(name, endpoint_url=aws.url, config=config) for name in ("rds", "ec2"))
    return rds, ec2


@pytest.fixture
def instances(clients: tuple[Any, Any]) -> OnRds:
    rds, ec2 = clients
    group = ec2.create_security_group(GroupName=f"closed-{secrets.token_hex(4)}", Description="nobody")["GroupId"]
    made = OnRds(rds, group)
    made.create("primary")
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier=f"{made.name}-replica-1", SourceDBInstanceIdentifier=f"{made.name}-primary"
    )
    return made


def test_started_where_it_is_stopped(instances: OnRds):
    instances.rds.stop_db_instance(DBInstanceIdentifier=f"{instances.name}-primary")
    assert instances.described("primary")["DBInstanceStatus"] == "stopped"
    for _ in range(2):
        instances.do("start", "primary")
        assert instances.described("primary")["DBInstanceStatus"] == "available"


def test_fenced_by_a_group_that_lets_nobody_in(instances: OnRds):
    for _ in range(2):
        instances.do("fence", "primary")
        groups = [group["VpcSecurityGroupId"] for group in instances.described("primary")["VpcSecurityGroups"]]
        assert groups == [instances.closed]
    with pytest.raises(Misconfigured, match=r"rds\.security_group"):
        instances.do("fence", "primary", closed=False)


class Busy:
    """RDS, where an instance is `modifying` or `backing-up`: it serves, and is not restarted before that is over."""

    def __init__(self, rds: Any, refusals: int) -> None:
        self.rds, self.refusals, self.restarted = rds, refusals, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rds, name)

    def reboot_db_instance(self, **request: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            error: Any = {"Code": "InvalidDBInstanceState", "Message": "Instance is not in available state."}
            raise ClientError({"Error": error}, "RebootDBInstance")
        self.restarted += 1
        return self.rds.reboot_db_instance(**request)


def test_one_that_is_busy_is_restarted_as_soon_as_rds_lets_it(instances: OnRds):
    busy = Busy(instances.rds, refusals=2)
    instances.rds = busy
    instances.do("fence", "primary")
    assert (busy.refusals, busy.restarted) == (0, 1)


def test_one_that_is_never_restarted_is_not_fenced(instances: OnRds, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rds_hosts, "_WITHIN", 0.3)
    instances.rds = Busy(instances.rds, refusals=1000)
    with pytest.raises(Unavailable, match="who is connected may go on"):
        instances.do("fence", "primary")


def test_one_that_is_stopped_needs_no_restart(instances: OnRds):
    instances.rds.stop_db_instance(DBInstanceIdentifier=f"{instances.name}-primary")
    busy = Busy(instances.rds, refusals=1000)
    instances.rds = busy
    instances.do("fence", "primary")
    assert (busy.refusals, busy.restarted) == (1000, 0)


def test_a_read_replica_is_promoted(instances: OnRds):
    """Moto goes on naming its source; only one that is no replica any more can get one of its own."""
    for _ in range(2):
        assert instances.do("promote", "replica-1")
    assert instances.described("replica-1")["DBInstanceStatus"] == "available"


def test_what_single_instances_can_not_do_is_said(instances: OnRds):
    with pytest.raises(Refused, match="create a new read replica"):
        instances.do("follow", "replica-1", "primary")
    with pytest.raises(Refused, match="create a read replica"):
        instances.do("rejoin", "primary", "replica-1")


def test_deleted_with_a_last_snapshot(instances: OnRds):
    instances.create("spare-1")
    for _ in range(2):
        instances.do("discard", "spare-1")
    with pytest.raises(instances.rds.exceptions.DBInstanceNotFoundFault):
        instances.described("spare-1")
    kept = instances.rds.describe_db_snapshots(DBInstanceIdentifier=f"{instances.name}-spare-1")["DBSnapshots"]
    assert len(kept) == 1


def test_an_instance_that_is_not_there(instances: OnRds):
    with pytest.raises(NotFound):
        instances.do("start", "nobody")


def test_a_cluster_fails_over_by_itself(clients: tuple[Any, Any]):
    rds, _ = clients
    cluster = f"c{secrets.token_hex(4)}"
    rds.create_db_cluster(
        DBClusterIdentifier=cluster,
        Engine="aurora-postgresql",
        MasterUsername="admin",
        MasterUserPassword="very-secret",
    )
    instances = OnRds(rds, "sg", cluster=cluster)
    for name in ("primary", "replica-1"):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{instances.name}-{name}",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
            DBClusterIdentifier=cluster,
        )
    instances.do("fence", "primary", closed=False)
    for _ in range(2):
        assert instances.do("promote", "replica-1")
    (found,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
    writers = [member["DBInstanceIdentifier"] for member in found["DBClusterMembers"] if member["IsClusterWriter"]]
    assert writers == [f"{instances.name}-replica-1"]
    assert instances.do("follow", "primary", "replica-1")
    assert instances.do("rejoin", "primary", "replica-1") == "the cluster made it a reader"
