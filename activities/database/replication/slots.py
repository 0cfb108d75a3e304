"""Logical slots and subscriptions of a database: what a new server doesn't have by itself (runbook 7.1, 7.3).

From PostgreSQL 17 on a slot that is made for failover is copied to the standbys; others are lost with their server.
"""

from pydantic import BaseModel, Field
from temporalio import activity

from activities.database.servers.servers import Databases, OnServer

_SLOTS = """
SELECT slot_name AS name, coalesce(plugin, '') AS plugin, active,
       coalesce((to_jsonb(s) ->> 'failover')::boolean, false) AS failover,
       coalesce((to_jsonb(s) ->> 'synced')::boolean, false) AS synced,
       coalesce(to_jsonb(s) ->> 'invalidation_reason', '') AS invalid
FROM pg_replication_slots s WHERE slot_type = 'logical' AND database = current_database() AND NOT temporary
ORDER BY slot_name
"""
_SUBSCRIPTIONS = """
SELECT s.subname AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE s.subenabled AND d.datname = current_database() ORDER BY s.subname
"""


class LogicalSlot(BaseModel):
    """One logical replication slot, as its server has it."""

    name: str
    plugin: str
    active: bool = Field(description="A subscriber is connected.")
    failover: bool = Field(description="It is to be copied to the standbys (PostgreSQL 17).")
    synced: bool = Field(description="This is such a copy.")
    invalid: str = ""

    @property
    def survives(self) -> bool:
        """A subscriber can go on with it once this standby is promoted."""
        return self.failover and self.synced and not self.invalid


class LogicalReplication(BaseModel):
    """Who gets this database's changes, and what it gets from elsewhere."""

    slots: list[LogicalSlot]
    subscriptions: list[str]

    def __str__(self) -> str:
        slots = ", ".join(slot.name for slot in self.slots) or "none"
        return f"logical slots: {slots}; subscriptions: {', '.join(self.subscriptions) or 'none'}"

    def of_candidate(self, server: str) -> list[str]:
        """Say what becomes of subscribers when this standby is promoted."""
        go_on = [slot.name for slot in self.slots if slot.survives]
        lost = [slot.name for slot in self.slots if not slot.survives]
        told = [f"Logical slots that go on at {server}: {', '.join(go_on)}"] if go_on else []
        if lost:
            told.append(f"Logical slots on {server} that may not go on: {', '.join(lost)}")
        told.append("Subscribers of the old primary's other logical slots have to begin anew")
        return [*told, *self._subscribes(server)]

    def of_damaged(self, spare: str) -> list[str]:
        """Say what becomes of subscribers when another server takes this one's place."""
        names = ", ".join(f"{slot.name}{' (in use)' if slot.active else ''}" for slot in self.slots)
        told = [f"Logical slots that {spare} will not have: {names}; their subscribers have to begin anew"]
        return [*(told if self.slots else []), *self._subscribes(spare)]

    def _subscribes(self, server: str) -> list[str]:
        if not self.subscriptions:
            return []
        return [f"{server} will subscribe, and write what it gets: {', '.join(self.subscriptions)}"]


class LogicalSlots:
    """Reads them; raises what `Databases.connect` raises."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    @activity.defn(name="logical_slots.read")
    def read(self, request: OnServer) -> LogicalReplication:
        """Read one server's slots of this database, and the database's own subscriptions."""
        with self._databases.connect(request) as connection:
            return LogicalReplication(
                slots=[LogicalSlot.model_validate(row) for row in connection.execute(_SLOTS)],
                subscriptions=[row["name"] for row in connection.execute(_SUBSCRIPTIONS)],
            )
