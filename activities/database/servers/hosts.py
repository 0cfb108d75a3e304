"""What is done to a database server from outside of it: start, fence, rejoin, discard (runbook 7.1, 7.3).

On one's own machines these are commands of the settings (`command_hosts`), on RDS its API (`rds_hosts`). Each is
idempotent by what it means: a server that is fenced or gone already stays so.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect

if TYPE_CHECKING:
    from activities.database.servers.servers import Databases, Server


class FenceServer(BaseModel):
    """Make sure that a server takes no write any more, also where it comes back by itself."""

    database: str
    server: str
    effect: Effect


class RejoinServer(BaseModel):
    """Make a fenced server a replica of the new primary."""

    database: str
    server: str
    source: str = Field(description="Name of the server to follow.")
    effect: Effect


class DiscardServer(BaseModel):
    """Stop a server and remove its data."""

    database: str
    server: str
    effect: Effect


class HostControl(Protocol):
    """The backends' side. All wait until it is done, and raise typed failures; each may take minutes."""

    def start(self, server: "Server") -> None:
        """Start it."""

    def fence(self, server: "Server") -> None:
        """Stop it for good."""

    def rejoin(self, server: "Server", source: "Server") -> str:
        """Make it follow `source`, and start it; tells how, which people read and history keeps."""

    def discard(self, server: "Server") -> None:
        """Stop it and remove its data."""

    def promote(self, server: "Server") -> bool:
        """Promote a replica, where that is the host's to do; False where PostgreSQL's own function does it."""

    def follow(self, server: "Server", source: "Server") -> bool:
        """Have a replica follow another, where that is the host's to do; False where PostgreSQL's settings do it."""


class DatabaseHosts:
    """Acts on the machines of database servers.

    Raises from every method: `Misconfigured` (no such server, no command for it), `Unavailable` (its machine didn't
    answer, or the command failed).
    """

    def __init__(self, databases: "Databases", hosts: Mapping[str, HostControl]) -> None:
        """Take what acts on each database's machines, by its name."""
        self._databases = databases
        self._hosts = hosts

    @activity.defn(name="database_hosts.fence")
    @effect
    def fence(self, request: FenceServer) -> Change:
        """Fence a server (7.1: there can't be two primaries)."""
        database = self._databases[request.database]
        server = database.server(request.server)
        if not request.effect.dry_run:
            self._hosts[database.name].fence(server)
        return _change(server, "fenced", request.effect)

    @activity.defn(name="database_hosts.rejoin")
    @effect
    def rejoin(self, request: RejoinServer) -> Change:
        """Bring a fenced server back as a replica (7.1)."""
        database = self._databases[request.database]
        server, source = database.server(request.server), database.server(request.source)
        how = "" if request.effect.dry_run else self._hosts[database.name].rejoin(server, source)
        return _change(server, f"a replica of {source.name}", request.effect, note=how)

    @activity.defn(name="database_hosts.discard")
    @effect
    def discard(self, request: DiscardServer) -> Change:
        """Remove a server's data (7.3, after the forensics period)."""
        database = self._databases[request.database]
        server = database.server(request.server)
        if not request.effect.dry_run:
            self._hosts[database.name].discard(server)
        return _change(server, "discarded", request.effect)


def _change(server: "Server", after: str, effect: Effect, *, note: str = "") -> Change:
    return Change(target=f"server/{server.name}", after=after, applied=not effect.dry_run, note=note)
