"""What people send to an onboarding (runbook 5.1)."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from activities.common.text import Key, Name, Reason, Text
from activities.common.times import Time
from activities.messages.mail.addresses import MailAddress
from workflows.platform.signing import SignedWord


class Tick(SignedWord):
    """An item of the checklist is done, or is not after all."""

    UPDATE = "tick"

    item: Name = Field(min_length=1, max_length=100)
    note: Reason = ""
    evidence: Reason = Field(
        default="", max_length=2000, pattern=r"^(https?://\S+)?$", description="A link to what shows it."
    )
    not_needed: bool = Field(default=False, description="It does not apply to this customer; counts with a note.")
    undo: bool = Field(default=False, description="Take a tick back.")


class Reschedule(SignedWord):
    """A phase is due at another time."""

    UPDATE = "reschedule"

    phase: Key
    due: Annotated[AwareDatetime, Time()]
    reason: Reason = ""


class Assign(SignedWord):
    """Who looks after the customer."""

    UPDATE = "assign"

    csm: Annotated[str, Text(200, 1)] | None = Field(default=None, description="Customer success manager.")
    se: Annotated[str, Text(200, 1)] | None = Field(default=None, description="Solutions engineer.")


class Resend(SignedWord):
    """Send the welcome mails again, perhaps to another address."""

    UPDATE = "resend"

    email: MailAddress | None = None


class Pause(SignedWord):
    """No reminders for now; due dates move by as long as it lasts."""

    UPDATE = "pause"

    reason: Reason = Field(min_length=1)


class StopOnboarding(SignedWord):
    """The onboarding ends here."""

    UPDATE = "stop"

    tenant: Literal["keep", "suspend", "close"] = Field(description="What happens to the tenant and so to its keys.")
    reason: Reason = Field(min_length=1)
