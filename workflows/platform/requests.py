"""What every procedure is started with."""

from pydantic import ConfigDict, Field

from activities.common.refusable import Refusable
from activities.common.text import Name
from activities.records.alerts import Alert


class RunbookRequest(Refusable):
    """What every procedure accepts."""

    model_config = ConfigDict(extra="forbid")

    requested_by: Name = Field(
        default="", max_length=200, description="Who starts it, and why it is theirs to; for the record."
    )
    dry_run: bool = Field(default=False, description="Plan mode: do everything but the effects.")


class ServiceRequest(RunbookRequest):
    """What every procedure on one service accepts."""

    service: Name | None = Field(default=None, description="Catalogue name; the only service where there is one.")
    alert: Alert | None = Field(default=None, description="What started it; set by the webhook.")
