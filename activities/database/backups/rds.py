"""Backups by AWS RDS: its snapshots, its continuous log, and restores beside the instance that they come from.

RDS chooses the snapshot of a restore itself, checks nobody's files, and restores to whole seconds.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from activities.common import aws
from activities.common.errors import Conflict, Misconfigured, NotFound, Refused, Unavailable
from activities.common.heartbeat import pause
from activities.database.backups.system import Backup, Beat, Reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.database.servers.servers import Connection, Server

_SYSTEM = "RDS"
_GIB = 1 << 30
_STATUS: dict[str, Literal["done", "running", "failed"]] = {"available": "done", "failed": "failed"}
_EFFECT, _MARK = "runbooks:effect", "runbooks:restored"
_ARCHIVED_WITHIN = 900.0
"""Seconds until RDS must be able to restore a commit: it ships the log every five minutes."""


class RdsBackups:
    """One database's backups in RDS; `rds` is boto3's client.

    Needs rds:Describe*, rds:CreateDBSnapshot, rds:RestoreDBInstanceToPointInTime, rds:AddTagsToResource. Raises from
    every method as `activities.common.aws.failures` says.
    """

    def __init__(self, rds: Any, servers: "Mapping[str, Server]", *, look_every: float = 10.0) -> None:
        self._rds = rds
        self._servers = servers
        self._every = look_every

    def backups(self) -> list[Backup]:
        """List the snapshots of all instances of the database, newest first."""
        found = [snapshot for server in self._servers.values() for snapshot in self._snapshots(server.instance)]
        items = [_backup(snapshot) for snapshot in found]
        return sorted(items, key=lambda item: item.began_at or datetime.max.replace(tzinfo=UTC), reverse=True)

    def latest(self, beat: Beat) -> datetime | None:
        """Tell the latest time that any of the instances can be restored to."""
        del beat
        instances = [self._found(server.instance) for server in self._servers.values()]
        times = [instance["LatestRestorableTime"] for instance in instances if instance and _restorable(instance)]
        return max(times, default=None)

    def verify(self, backup_id: str, beat: Beat) -> tuple[bool, str]:
        """Ask RDS for the snapshot's state: it lets nobody look at its files."""
        del beat
        status = self._snapshot(backup_id)["Status"]
        return status == "available", f"RDS says that it is {status}; it lets nobody check the files themselves"

    def archive(self, server: "Server", primary: "Connection", at: datetime, beat: Beat) -> None:
        """Wait until RDS can restore to a time.

        Raises:
            Unavailable: it can't within a quarter of an hour.

        """
        del primary  # RDS ships the log by its own clock
        waited = 0.0
        while True:
            latest = self._instance(server.instance).get("LatestRestorableTime")
            if latest is not None and latest >= at:
                return
            if waited > _ARCHIVED_WITHIN:
                raise Unavailable(
                    f"RDS can't restore {server.instance} to {at:%F %T %Z} yet: are its automated backups on?"
                )
            beat("waiting for RDS to ship the log")
            pause(self._every)
            waited += self._every

    def reach(self, backup_id: str, target: datetime, beat: Beat) -> Reach:
        """Look whether the target is in the window that RDS can restore the snapshot's instance to."""
        del beat
        snapshot = self._snapshot(backup_id)
        instance = self._instance(snapshot["DBInstanceIdentifier"])
        latest = instance.get("LatestRestorableTime") if _restorable(instance) else None
        taken = snapshot.get("SnapshotCreateTime")
        if latest is None:
            detail = f"automated backups of {snapshot['DBInstanceIdentifier']} are off: it can't be restored to a time"
            return Reach(reaches=False, latest=None, detail=detail)
        earliest = self._earliest(instance, latest)
        if target < earliest:
            detail = f"RDS keeps the log from {earliest:%F %T %Z} on: it can't restore {target:%F %T %Z} any more"
            return Reach(reaches=False, latest=latest, detail=detail)
        if taken is None or target < taken:
            detail = f"{target:%F %T %Z} is before snapshot {backup_id} was taken: take an earlier one, or a later time"
            return Reach(reaches=False, latest=latest, detail=detail)
        if target > latest:
            detail = f"RDS' log ends at {latest:%F %T %Z}: it doesn't reach {target:%F %T.%f %Z}"
            return Reach(reaches=False, latest=latest, detail=detail)
        return Reach(reaches=True, latest=latest, detail=f"RDS can restore every time up to {latest:%F %T %Z}")

    def _earliest(self, instance: dict[str, Any], latest: datetime) -> datetime:
        """Tell from when on RDS can restore an instance: snapshots of people stay longer than its log."""
        with aws.failures(_SYSTEM):
            found = self._rds.describe_db_instance_automated_backups(
                DBInstanceIdentifier=instance["DBInstanceIdentifier"]
            )["DBInstanceAutomatedBackups"]
        starts = [
            one["RestoreWindow"]["EarliestTime"] for one in found if "EarliestTime" in one.get("RestoreWindow", {})
        ]
        return min(starts, default=latest - timedelta(days=instance["BackupRetentionPeriod"]))

    def begun(self, into: "Server", effect_key: str) -> bool:
        """Tell whether the instance is the one that an earlier attempt had RDS make."""
        instance = self._found(into.instance)
        return instance is not None and _tags(instance).get(_EFFECT) == _short(effect_key)

    def restore(self, backup_id: str, target: datetime, into: "Server", effect_key: str, beat: Beat) -> None:
        """Have RDS make the spare instance, with the source's network and parameters, and wait until it is there.

        Raises:
            Conflict: there is another instance of that name.
            Refused: RDS can't restore to that time, or its work failed.

        """
        if not self.begun(into, effect_key):
            source = self._instance(self._snapshot(backup_id)["DBInstanceIdentifier"])
            with aws.failures(_SYSTEM):
                self._rds.restore_db_instance_to_point_in_time(
                    SourceDBInstanceIdentifier=source["DBInstanceIdentifier"],
                    TargetDBInstanceIdentifier=into.instance,
                    RestoreTime=target,
                    Tags=[{"Key": _EFFECT, "Value": _short(effect_key)}],
                    **_as_its_source(source),
                )
        while True:
            instance = self._instance(into.instance)
            if _tags(instance).get(_EFFECT) != _short(effect_key):
                raise Conflict(f"RDS instance {into.instance} is another restore's: discard it first")
            status = instance["DBInstanceStatus"]
            if status == "available":
                return
            if "failed" in status or status.startswith("incompatible"):
                raise Refused(f"RDS couldn't restore into {into.instance}: its status is {status}")
            beat(f"RDS: {status}")
            pause(self._every)

    def finish(self, into: "Server", connection: "Connection", mark: str) -> None:
        """Tag the instance with the mark; RDS has taken back what only its recovery needed."""
        del connection
        arn = self._instance(into.instance)["DBInstanceArn"]
        with aws.failures(_SYSTEM):
            self._rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": _MARK, "Value": mark}])

    def mark(self, into: "Server", connection: "Connection") -> str:
        """Read the mark."""
        del connection
        return _tags(self._instance(into.instance)).get(_MARK, "")

    def create(self, server: "Server | None", effect_key: str, beat: Beat) -> str:
        """Take a snapshot of an instance, named after the effect, and wait until it is there.

        Raises:
            Misconfigured: several instances could be meant.

        """
        snapshot = f"runbooks-{_short(effect_key)[:20]}"
        try:
            found = self._snapshot(snapshot)
        except NotFound:
            with aws.failures(_SYSTEM):
                found = self._rds.create_db_snapshot(
                    DBSnapshotIdentifier=snapshot, DBInstanceIdentifier=server.instance if server else self._only()
                )["DBSnapshot"]
        while found["Status"] != "available":
            if found["Status"] == "failed":
                raise Refused(f"RDS couldn't take snapshot {snapshot}")
            beat(f"RDS: {found['Status']}")
            pause(self._every)
            found = self._snapshot(snapshot)
        return snapshot

    def follow(self, server: "Server", primary: "Connection", beat: Beat) -> None:
        """See that RDS keeps the instance's log, as it does by itself.

        Raises:
            Misconfigured: its automated backups are off.

        """
        del primary, beat
        if not _restorable(self._instance(server.instance)):
            raise Misconfigured(
                f"automated backups of RDS instance {server.instance} are off: give it a retention period"
            )

    def _only(self) -> str:
        """Name the instance that is no replica, where there is one."""
        instances = [self._found(server.instance) for server in self._servers.values()]
        sources = [one for one in instances if one and not one.get("ReadReplicaSourceDBInstanceIdentifier")]
        if len(sources) != 1:
            names = ", ".join(str(one["DBInstanceIdentifier"]) for one in sources) or "none"
            raise Misconfigured(f"which instance is to be backed up? These are no replicas: {names}")
        return str(sources[0]["DBInstanceIdentifier"])

    def _found(self, instance: str | None) -> dict[str, Any] | None:
        try:
            return self._instance(instance)
        except NotFound:
            return None

    def _instance(self, instance: str | None) -> dict[str, Any]:
        with aws.failures(_SYSTEM):
            found: list[dict[str, Any]] = self._rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
        return found[0]

    def _snapshots(self, instance: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        with aws.failures(_SYSTEM):
            pages = self._rds.get_paginator("describe_db_snapshots")
            for page in pages.paginate(DBInstanceIdentifier=instance):
                found += page["DBSnapshots"]
        return found

    def _snapshot(self, backup_id: str) -> dict[str, Any]:
        with aws.failures(_SYSTEM):
            found: list[dict[str, Any]] = self._rds.describe_db_snapshots(DBSnapshotIdentifier=backup_id)["DBSnapshots"]
        known = {server.instance for server in self._servers.values()}
        if not found or found[0]["DBInstanceIdentifier"] not in known:
            raise NotFound(f"RDS has no snapshot {backup_id} of this database's instances")
        return found[0]


def _backup(snapshot: dict[str, Any]) -> Backup:
    return Backup(
        backup_id=snapshot["DBSnapshotIdentifier"],
        status=_STATUS.get(snapshot["Status"], "running"),
        began_at=snapshot.get("SnapshotCreateTime"),
        ended_at=snapshot.get("SnapshotCreateTime"),
        size=int(snapshot.get("AllocatedStorage") or 0) * _GIB,
    )


def _as_its_source(source: dict[str, Any]) -> dict[str, Any]:
    """Give what RDS would else fill with the account's defaults, which let nobody in."""
    groups = [group["VpcSecurityGroupId"] for group in source.get("VpcSecurityGroups", ())]
    parameters = [group["DBParameterGroupName"] for group in source.get("DBParameterGroups", ())]
    subnets = (source.get("DBSubnetGroup") or {}).get("DBSubnetGroupName")
    wanted = {
        "VpcSecurityGroupIds": groups,
        "DBParameterGroupName": parameters[0] if parameters else None,
        "DBSubnetGroupName": subnets,
        "PubliclyAccessible": source.get("PubliclyAccessible"),
    }
    return {name: value for name, value in wanted.items() if value not in (None, [])}


def _restorable(instance: dict[str, Any]) -> bool:
    return bool(instance.get("BackupRetentionPeriod")) and bool(instance.get("LatestRestorableTime"))


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("TagList", ())}


def _short(effect_key: str) -> str:
    return hashlib.sha256(effect_key.encode()).hexdigest()[:32]
