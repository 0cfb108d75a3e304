"""What has become of a P2's incident: by people, by alerts, and by other runs."""

from dataclasses import dataclass
from typing import Literal

from activities.records.alerts import Alert
from workflows.incident_response.incident_words import Closing

Outcome = Literal["resolved", "closed", "raised", "taken in", "joined", "planned"]


@dataclass
class P2Happened:
    """What was said to the run, and who has the incident; whoever waits looks here."""

    opened: bool = False
    """Set as soon as the incident is in the records."""

    closing: Closing | None = None
    """From when people close it."""

    raising: str = ""
    """Why it becomes a P1; empty: it doesn't."""

    taken_in: str = ""
    """The incident that this one goes into, or goes on as."""

    hands_over: bool = False
    """Whether the run that takes it in is being told, and goes on with this very incident."""

    handed_over: bool = False
    """Whether it was told."""

    resolution: str = ""
    """Set as soon as the incident is being closed."""

    next_alert: Alert | None = None
    """What fired while the incident was ending: it begins a new one."""

    other: str = ""
    """The run that has the incident, where it isn't the service's P1."""

    handed_on: Outcome | None = None
    """Set as soon as another run has the incident, while this one only keeps what it has added."""

    listens: bool = False
    """From when it is being handed on, whether what it hears goes to the other; a run from before this kept it."""

    @property
    def ended(self) -> bool:
        """Whether somebody has ended what this run has to do."""
        return bool(self.closing or self.raising or self.taken_in)
