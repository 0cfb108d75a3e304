"""Database servers on one's own machines: commands of the settings, run without a shell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from activities.common.errors import Misconfigured
from activities.database.servers.commands import MESSAGE_CHARACTERS, carry_out

if TYPE_CHECKING:
    from activities.database.servers.servers import Server


class CommandHosts:
    """Runs the settings' commands; `commands` are the words by verb."""

    def __init__(self, database: str, commands: Mapping[str, Sequence[str]]) -> None:
        self._database = database
        self._commands = commands

    def start(self, server: "Server") -> None:
        """Start it."""
        self._run("start", server)

    def fence(self, server: "Server") -> None:
        """Stop it for good."""
        self._run("fence", server)

    def rejoin(self, server: "Server", source: "Server") -> str:
        """Make it follow `source`; gives the last line that the command printed."""
        said = self._run("rejoin", server, source=source.name).strip().splitlines()
        return said[-1][-MESSAGE_CHARACTERS:] if said else ""

    def discard(self, server: "Server") -> None:
        """Remove it."""
        self._run("discard", server)

    def promote(self, server: "Server") -> bool:  # noqa: ARG002 - PostgreSQL does it
        """Leave it to PostgreSQL."""
        return False

    def follow(self, server: "Server", source: "Server") -> bool:  # noqa: ARG002 - PostgreSQL does it
        """Leave it to PostgreSQL."""
        return False

    def _run(self, verb: str, server: "Server", **more: str) -> str:
        words = self._commands.get(verb, ())
        if not words:
            raise Misconfigured(
                f"settings have no [databases.{self._database}.commands] {verb}: name the command, or do it by hand"
            )
        values = {"server": server.name, "host": server.host or "", "directory": server.directory or "", **more}
        return carry_out(words, values, f"{verb} of {server.name}")
