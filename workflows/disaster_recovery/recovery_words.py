"""What people send to a full recovery (runbook 7.2)."""

from pydantic import Field

from workflows.shared.signing import SignedWord


class StopWatching(SignedWord):
    """A person has seen enough: the watch ends, and with it the incident where all is well."""

    UPDATE = "stop_watching"

    reason: str = Field(default="", max_length=2000)
