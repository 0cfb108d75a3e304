"""What people say to an incident: it is closed, it is worse than it looked. Imported without the procedures."""

from pydantic import Field

from activities.common.text import Words
from workflows.platform.signing import SignedWord


class Closing(SignedWord):
    """What closes an incident (step 12)."""

    UPDATE = "close"

    resolution: Words = Field(min_length=1, max_length=5000)
    root_cause: Words = Field(min_length=1, max_length=5000)
    force: bool = Field(
        default=False, description="Close at any time, although the service doesn't say it is healthy; it is noted."
    )


class Raise(SignedWord):
    """A person says that it is an outage: P1."""

    UPDATE = "raise"

    reason: Words = Field(min_length=1, max_length=2000)
