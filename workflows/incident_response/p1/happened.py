"""What has happened to a P1 incident from outside its run: each of it ends a wait."""

from dataclasses import dataclass

from workflows.incident_response.incident_words import Closing


@dataclass
class P1Happened:
    """What people and alerts have said; whoever waits looks here."""

    today: bool
    """Whether the run began under today's rules: one incident a service, what was mitigated can be lost, nothing public
    of a false alarm."""

    closing: Closing | None = None
    """From when people close it."""

    fired_again: bool = False
    """Whether an alert has fired since the run looked last."""

    changed_hands: bool = False
    """Whether a person has taken it over, or given it back, since then."""

    resolutions: int = 0
    """How often the last alert has said that it is over."""

    def something(self) -> bool:
        """Tell whether there is something to do."""
        return self.closing is not None or self.fired_again or self.changed_hands
