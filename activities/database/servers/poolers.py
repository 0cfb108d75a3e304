"""Poolers between a database and its clients, such as PgBouncer: paused, and connected to another server (7.1, 7.3).

A pooler's clients don't read a Secret when the primary moves: the pooler itself must go elsewhere. Its commands are
those of the settings. Each may be repeated, since a killed attempt's is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured
from activities.database.servers.commands import carry_out

if TYPE_CHECKING:
    from activities.database.servers.servers import Databases

_WITHIN = timedelta(minutes=1)


class PausePooler(BaseModel):
    """Have clients wait in the pooler, and let go of the server."""

    database: str
    pooler: str = Field(description="Of the settings' [databases.NAME.poolers].")
    within: timedelta = Field(description="For what is in flight to end; then the command is ended.")
    effect: Effect


class ReconnectPooler(BaseModel):
    """Send clients to a server, and let those go on that wait."""

    database: str
    pooler: str
    server: str
    effect: Effect


@dataclass(frozen=True)
class PoolerCommands:
    """The words of its commands; `pause` may be empty."""

    reconnect: Sequence[str]
    pause: Sequence[str] = ()
    host: str | None = None


class Poolers:
    """Acts on the poolers of databases.

    Raises from every method: `Misconfigured` (no such database, server or pooler), `Unavailable` (the command failed).
    """

    def __init__(self, databases: "Databases", poolers: Mapping[str, Mapping[str, PoolerCommands]]) -> None:
        """Take each database's poolers, by their names."""
        self._databases = databases
        self._poolers = poolers

    @activity.defn(name="poolers.pause")
    @effect
    def pause(self, request: PausePooler) -> Change:
        """Pause it (7.3 step 1); not applied where settings have no command for it."""
        pooler = self._pooler(request.database, request.pooler)
        if not pooler.pause:
            return Change(target=_target(request.pooler), after="not paused: settings name no `pause`", applied=False)
        if not request.effect.dry_run:
            values = {"pooler": request.pooler, "host": pooler.host or ""}
            carry_out(pooler.pause, values, f"pause of {request.pooler}", request.within)
        return Change(target=_target(request.pooler), after="paused", applied=not request.effect.dry_run)

    @activity.defn(name="poolers.reconnect")
    @effect
    def reconnect(self, request: ReconnectPooler) -> Change:
        """Connect it to a server (7.1 step 3, 7.3 step 6)."""
        pooler = self._pooler(request.database, request.pooler)
        server = self._databases[request.database].server(request.server)
        if not request.effect.dry_run:
            values = {
                "pooler": request.pooler,
                "host": pooler.host or "",
                "server": server.name,
                "server_host": server.host or "",
            }
            carry_out(pooler.reconnect, values, f"reconnect of {request.pooler} to {server.name}", _WITHIN)
        after = f"connected to {server.name}"
        return Change(target=_target(request.pooler), after=after, applied=not request.effect.dry_run)

    def _pooler(self, database: str, name: str) -> PoolerCommands:
        known = self._poolers.get(self._databases[database].name, {})
        if name not in known:
            raise Misconfigured(f"[databases.{database}] has no pooler {name!r}; it has: {', '.join(known) or 'none'}")
        return known[name]


def _target(pooler: str) -> str:
    return f"pooler/{pooler}"
