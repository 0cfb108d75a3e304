"""What can be read of the past: Temporal and the archive, whichever answers."""

from dataclasses import dataclass

from temporalio.client import Client

from audit.payloads import Decoder
from audit.store import Store
from starters.past.searching import Search
from workers.settings import Settings


@dataclass(frozen=True)
class Room:
    """What can be read from; None is what doesn't answer."""

    settings: Settings
    client: Client | None
    store: Store | None
    decoder: Decoder

    @property
    def search(self) -> Search:
        """Search all of it."""
        return Search(self.client, self.store, self.decoder)
