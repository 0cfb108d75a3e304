"""What the database servers' machines are told of the world: one file, which the process and its clients read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

USER, REPLICATION_USER, MAINTENANCE_DATABASE = "runbooks", "replicator", "postgres"
FENCED = "fenced"
"""A file in the folder of a server that its machine won't start."""


@dataclass(frozen=True)
class Place:
    """One server: its port, its own folder (the data in `data` below it), and the settings of it alone."""

    port: int
    directory: str
    settings: dict[str, str]

    @property
    def data(self) -> Path:
        """Its data directory."""
        return Path(self.directory) / "data"


@dataclass(frozen=True)
class Plan:
    """All of them. `uid` and `gid` are of the account PostgreSQL runs as; None: that of the process."""

    port: int
    key: str
    programs: str
    uid: int | None
    gid: int | None
    passwords: str
    logs: str
    restart_crashed: bool
    settings: dict[str, str]
    servers: dict[str, Place]

    def write(self, file: Path) -> None:
        """Write it for its owner's eyes only: who has the key commands the machines."""
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "Plan":
        """Read it back."""
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found["servers"] = {name: Place(**place) for name, place in found["servers"].items()}
        return cls(**found)
