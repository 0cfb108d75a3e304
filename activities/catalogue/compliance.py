"""Which audits a service's schedule prepares (runbook 8.3): `[services.NAME.compliance]`."""

from datetime import time
from typing import Literal

from pydantic import Field

from activities.catalogue.base import ServicePolicy

FrameworkName = Literal["soc2", "hipaa"]


class CompliancePolicy(ServicePolicy):
    """Each quarter's evidence is packaged when the quarter is over. It is the company's: one service has it."""

    frameworks: tuple[FrameworkName, ...] = Field(
        default=("soc2",), min_length=1, description="Whose evidence is packaged."
    )
    quarterly: bool = Field(default=True, description="Whether the schedule is on.")
    day: int = Field(default=2, ge=2, le=28, description="Of January, April, July and October; the first is too soon.")
    at: time = Field(default=time(6, 0), description="In the service's time zone.")
