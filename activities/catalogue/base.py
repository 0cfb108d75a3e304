"""What every part of a policy has in common."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from activities.common.times import too_long


class ServicePolicy(BaseModel):
    """What settings say of how far runs go with a service; pinned in their histories, so it holds no secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _spans_can_be_reckoned_with(self) -> Self:
        if long := too_long(self):
            raise ValueError(long)
        return self


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
