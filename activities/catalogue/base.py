"""What every part of a policy has in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ServicePolicy(BaseModel):
    """What settings say of how far runs go with a service; pinned in their histories, so it holds no secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
