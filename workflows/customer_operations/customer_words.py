"""What people send to an issue's escalation and to an intervention (runbook 5.2, 5.3)."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from activities.common.text import Name, Words
from workflows.platform.signing import SignedWord


class UpdateCustomer(SignedWord):
    """Tell the customer where things stand; the promise of the next update begins anew."""

    UPDATE = "update_customer"

    text: Words = Field(min_length=1, max_length=10_000, description="The customer reads it.")
    next_within: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        le=timedelta(days=7),
        description="Until the next update, e.g. PT4H; as settings.",
    )


class Reassign(SignedWord):
    """Somebody else takes the ticket."""

    UPDATE = "reassign"

    to: Name = Field(min_length=1)


class Resolve(SignedWord):
    """The customer's issue is solved."""

    UPDATE = "resolve"

    resolution: Words = Field(min_length=1, max_length=10_000, description="The customer reads it.")


class Outreach(SignedWord):
    """The customer success manager has spoken with the customer, or has tried to."""

    UPDATE = "outreach"

    outcome: Literal["retained", "at_risk", "lost", "no_contact"]
    note: Words = Field(default="", max_length=10_000, description="What was said, and what follows.")
