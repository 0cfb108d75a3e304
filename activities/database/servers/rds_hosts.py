"""Database servers that AWS RDS runs: single instances with read replicas, or a cluster that fails over by itself.

There is no machine to log in to. A fenced instance gets a security group that lets nobody in, and is restarted, which
ends the connections that it has. In a cluster RDS itself sees to it that one instance writes.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from activities.common import aws
from activities.common.errors import Misconfigured, NotFound, Refused, Unavailable
from activities.common.heartbeat import pause
from libraries import aws_errors

if TYPE_CHECKING:
    from activities.database.servers.servers import Server

_SYSTEM = "RDS"
_WITHIN = 1800.0
_NOT_NOW = "InvalidDBInstanceState"
_SERVES_NOBODY = ("stopped", "rebooting", "starting", "failed", "deleting", "inaccessible-", "incompatible-")
"""Beginnings of an instance's status (RDS, "Viewing Amazon RDS DB instance status")."""

_Instance = dict[str, Any]


class RdsHosts:
    """Acts on the instances of one database; `rds` is boto3's client.

    Needs rds:Describe*, rds:StartDBInstance, rds:RebootDBInstance, rds:ModifyDBInstance,
    rds:PromoteReadReplica, rds:FailoverDBCluster, rds:DeleteDBInstance and rds:CreateDBSnapshot. Raises from every
    method as `activities.common.aws.failures` says, and `Unavailable` where RDS takes longer than half an hour.
    """

    def __init__(self, rds: Any, *, closed: str | None, cluster: str | None, look_every: float = 5.0) -> None:
        self._rds = rds
        self._closed = closed
        self._cluster = cluster
        self._every = look_every

    def start(self, server: "Server") -> None:
        """Start a stopped instance, and wait until it is available."""
        if self._instance(server)["DBInstanceStatus"] in {"stopped", "stopping"}:
            self._until(server, "stopped", "available")
            if self._instance(server)["DBInstanceStatus"] == "stopped":
                with aws.failures(_SYSTEM):
                    self._rds.start_db_instance(DBInstanceIdentifier=server.instance)
        self._until(server, "available")

    def fence(self, server: "Server") -> None:
        """Let nobody in any more, and end what is connected; in a cluster the failover itself does that.

        Raises:
            Misconfigured: settings name no security group that lets nobody in.

        """
        if self._cluster is not None:
            return
        if self._closed is None:
            raise Misconfigured("settings have no rds.security_group for the database: name one that lets nobody in")
        if self._groups(server) != {self._closed: "active"}:
            with aws.failures(_SYSTEM):
                self._rds.modify_db_instance(
                    DBInstanceIdentifier=server.instance, VpcSecurityGroupIds=[self._closed], ApplyImmediately=True
                )
        self._wait(lambda: self._groups(server) == {self._closed: "active"}, f"{server.instance} is not closed yet")
        # A group says who may come, not who may stay: only a restart ends what is connected.
        self._wait(lambda: self._restarts(server), f"{server.instance} isn't restarted: who is connected may go on")

    def rejoin(self, server: "Server", source: "Server") -> str:
        """Tell that a cluster has done so by itself.

        Raises:
            Refused: an instance of its own can't become a replica of another one.

        """
        if self._cluster is None:
            raise Refused(
                f"RDS can't make {server.instance} a replica of {source.instance}: discard it, and create a read "
                "replica of the new primary in its place"
            )
        self._until(server, "available")
        return "the cluster made it a reader"

    def discard(self, server: "Server") -> None:
        """Delete an instance; RDS keeps a last snapshot of it."""
        try:
            found = self._instance(server)
        except NotFound:
            return
        if found["DBInstanceStatus"] != "deleting":
            created = found.get("InstanceCreateTime")
            last = f"{server.instance}-last-{created:%Y%m%d%H%M%S}" if created else f"{server.instance}-last"
            with aws.failures(_SYSTEM):
                self._rds.delete_db_instance(
                    DBInstanceIdentifier=server.instance, SkipFinalSnapshot=False, FinalDBSnapshotIdentifier=last
                )
        self._wait(lambda: self._gone(server), f"{server.instance} is not deleted yet")

    def promote(self, server: "Server") -> bool:
        """Promote a read replica, or have the cluster fail over to it; the server itself tells when it takes writes."""
        if self._cluster is not None:
            if not self._writes(server):
                with aws.failures(_SYSTEM):
                    self._rds.failover_db_cluster(
                        DBClusterIdentifier=self._cluster, TargetDBInstanceIdentifier=server.instance
                    )
            self._wait(lambda: self._writes(server), f"{server.instance} doesn't write yet")
            return True
        if self._instance(server).get("ReadReplicaSourceDBInstanceIdentifier"):
            self._unless_not_now(self._rds.promote_read_replica, server)  # else it is at it already
        self._until(server, "available")
        return True

    def follow(self, server: "Server", source: "Server") -> bool:
        """Tell that a cluster's readers follow by themselves.

        Raises:
            Refused: a read replica can't follow another instance.

        """
        if self._cluster is None:
            raise Refused(f"RDS can't make {server.instance} follow {source.instance}: create a new read replica of it")
        return True

    # -- how ---------------------------------------------------------------------------------------------

    def _restarts(self, server: "Server") -> bool:
        """Have it restart; one that serves nobody needs none. One that is modified or backed up serves, and waits."""
        status = str(self._instance(server)["DBInstanceStatus"])
        return status.startswith(_SERVES_NOBODY) or self._unless_not_now(self._rds.reboot_db_instance, server)

    def _unless_not_now(self, method: Callable[..., Any], server: "Server") -> bool:
        """Ask for something that RDS refuses an instance in the wrong state; False where it has."""
        with aws.failures(_SYSTEM):
            try:
                method(DBInstanceIdentifier=server.instance)
            except aws_errors.ClientError as error:
                if not aws.code(error).startswith(_NOT_NOW):
                    raise
                return False
        return True

    def _instance(self, server: "Server") -> _Instance:
        with aws.failures(_SYSTEM):
            found: list[_Instance] = self._rds.describe_db_instances(DBInstanceIdentifier=server.instance)[
                "DBInstances"
            ]
        return found[0]

    def _groups(self, server: "Server") -> dict[str, str]:
        groups = self._instance(server).get("VpcSecurityGroups", ())
        return {group["VpcSecurityGroupId"]: group["Status"] for group in groups}

    def _gone(self, server: "Server") -> bool:
        try:
            self._instance(server)
        except NotFound:
            return True
        return False

    def _writes(self, server: "Server") -> bool:
        with aws.failures(_SYSTEM):
            (cluster,) = self._rds.describe_db_clusters(DBClusterIdentifier=self._cluster)["DBClusters"]
        return any(
            member["DBInstanceIdentifier"] == server.instance and member["IsClusterWriter"]
            for member in cluster["DBClusterMembers"]
        )

    def _until(self, server: "Server", *wanted: str) -> None:
        self._wait(
            lambda: self._instance(server)["DBInstanceStatus"] in wanted, f"{server.instance} is not {wanted[-1]} yet"
        )

    def _wait(self, done: Callable[[], bool], undone: str) -> None:
        deadline = time.monotonic() + _WITHIN
        while not done():
            if time.monotonic() > deadline:
                raise Unavailable(undone)
            pause(self._every)
