"""What the autoscalers of a Deployment say of themselves."""

from datetime import datetime

from pydantic import BaseModel, Field


class Autoscaling(BaseModel):
    """State of the HPA and of KEDA's ScaledObject; fields are None where there is none."""

    hpa_min: int | None = None
    hpa_max: int | None = None
    hpa_current: int | None = None
    hpa_desired: int | None = None
    scaled_object_paused: bool | None = None
    held_by: str | None = Field(default=None, description="Workflow ID of the run that holds one of them still.")
    held_until: datetime | None = None

    @property
    def at_maximum(self) -> bool:
        """The HPA wants all it may have."""
        return self.hpa_max is not None and (self.hpa_desired or 0) >= self.hpa_max

    @property
    def keeps_at_most(self) -> int | None:
        """Replicas that they leave alone: an HPA takes away what is above its maximum; one of KEDA's can be paused."""
        return self.hpa_max if self.scaled_object_paused is None else None

    def __str__(self) -> str:
        wants = f"HPA {self.hpa_current} of {self.hpa_min}–{self.hpa_max}, wants {self.hpa_desired}"
        paused = ", KEDA paused" if self.scaled_object_paused else ""
        held = f", held by {self.held_by} until {self.held_until:%H:%M:%S %Z}" if self.held_by else ""
        return f"{'no HPA' if self.hpa_max is None else wants}{paused}{held}"


class AutoscalingRequest(BaseModel):
    """Which autoscalers look after a deployment."""

    namespace: str
    hpa: str | None = None
    scaled_object: str | None = None
