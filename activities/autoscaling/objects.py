"""How an autoscaler is held: what its object says of a hold, whose the held value is, and how it is patched.

Works on the API's own JSON and talks to nobody. Whose a value is, the API server notes itself (managedFields). Setting
the value that is there already, as `kubectl annotate --overwrite` may, doesn't change that. Removing it and setting it
again does, and so does applying the same value on the server's side, which makes it shared. So a value that nobody else
has is still the one that we have set.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from activities.common.errors import Refused
from activities.kubernetes import effect_notes
from activities.kubernetes.api import FIELD_MANAGER, Object
from activities.kubernetes.effect_notes import Done
from audit.text import counted

KEDA = ("keda.sh", "v1alpha1")
SCALED_OBJECTS = "scaledobjects"
HOLD = "runbooks.dev/hold"
_PAUSED = "autoscaling.keda.sh/paused"
_PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


class Marker(BaseModel):
    """The annotation that a hold leaves on its autoscaler."""

    model_config = ConfigDict(frozen=True)

    lease: str
    until: AwareDatetime
    by: str
    workflow_id: str
    before: str | None = Field(description="The value before the hold; None where there was none.")
    held: str = Field(description="The value that holds it.")


@dataclass(frozen=True)
class Autoscaler(ABC):
    """An autoscaler as the API has it. One value of it holds it still; which one differs by kind."""

    raw: Object
    noun: ClassVar[str]
    """What a `Change` calls its kind."""
    _field: ClassVar[tuple[str, ...]]

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return self.raw["metadata"].get("annotations") or {}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.raw["metadata"]["namespace"])

    @property
    def marker(self) -> Marker | None:
        """Who holds it, until when; None as well where somebody has spoilt the annotation."""
        try:
            return Marker.model_validate_json(self.annotations.get(HOLD, ""))
        except ValidationError:
            return None

    @property
    def others(self) -> str:
        """Who else has set the value, as the API server noted it."""
        owners = {
            entry["manager"]
            for entry in self.raw["metadata"].get("managedFields", ())
            if _has(entry.get("fieldsV1", {}), self._field)
        }
        return ", ".join(sorted(owners - {FIELD_MANAGER}))

    @property
    def state(self) -> str:
        """What it does now, in a word or two."""
        return self.as_with(self.value)

    def untouched(self, marker: Marker) -> bool:
        """Whether the value is the one that the hold has set, and not somebody else's."""
        return self.value == marker.held and (marker.held == marker.before or not self.others)

    def done(self, key: str) -> Done | None:
        """Find an effect's note."""
        return effect_notes.find(key, self.annotations)

    def patch(self, value: str | None, marker: Marker | None, *done: Done) -> Object:
        """Give the merge patch to a value and a mark, refused (409) where anything has changed meanwhile."""
        noted = effect_notes.noted(self.annotations, *done)
        annotations = {HOLD: marker.model_dump_json() if marker else None, effect_notes.EFFECTS: noted}
        version = self.raw["metadata"]["resourceVersion"]
        body: Object = {"metadata": {"resourceVersion": version, "annotations": annotations}}
        if value != self.value:
            self._set(body, value)
        return body

    @property
    def target(self) -> str:
        """What a `Change` calls it."""
        return f"{self.noun}/{self.name}"

    @property
    def paused(self) -> bool:
        """Whether it stands still altogether."""
        return False

    @property
    def pinned(self) -> bool:
        """Whether it would stand still without the value as well."""
        return False

    @property
    @abstractmethod
    def value(self) -> str | None:
        """Give the value that a hold changes; None where there is none."""

    @abstractmethod
    def as_with(self, value: str | None) -> str:
        """Say what it does with a value."""

    @abstractmethod
    def holding(self, floor: int) -> str:
        """Give the value that holds it.

        Raises:
            Refused: it cannot be held so.

        """

    @abstractmethod
    def _set(self, body: Object, value: str | None) -> None:
        """Add a value to a merge patch."""


class ScaledObject(Autoscaler):
    """KEDA's autoscaler, held by KEDA's `paused` annotation."""

    noun = "scaledobject"
    _field = ("f:metadata", "f:annotations", f"f:{_PAUSED}")

    @property
    def value(self) -> str | None:
        """Give the annotation's value."""
        return self.annotations.get(_PAUSED)

    @property
    def paused(self) -> bool:
        """Whether it is paused, as KEDA reads it: any value but a false one pauses."""
        return self.pinned or (self.value is not None and self.value not in _FALSE)

    @property
    def pinned(self) -> bool:
        """Whether KEDA's other annotation pauses it, at a number of replicas."""
        return _PAUSED_REPLICAS in self.annotations

    def as_with(self, value: str | None) -> str:
        """Say whether KEDA pauses it."""
        if self.pinned:
            number = self.annotations[_PAUSED_REPLICAS]
            return f"paused at {number} {'replica' if number == '1' else 'replicas'}"
        return "active" if value is None or value in _FALSE else "paused"

    def holding(self, floor: int) -> str:  # noqa: ARG002 - paused, it takes nothing away
        """Give what pauses it."""
        return "true"

    def _set(self, body: Object, value: str | None) -> None:
        body["metadata"]["annotations"][_PAUSED] = value


class HorizontalPodAutoscaler(Autoscaler):
    """Kubernetes' own autoscaler, held by its minimum: it may add pods but not take them away."""

    noun = "hpa"
    _field = ("f:spec", "f:minReplicas")

    @property
    def value(self) -> str:
        """Give the minimum."""
        return str(self.raw["spec"].get("minReplicas", 1))

    @property
    def of_keda(self) -> bool:
        """Whether KEDA made it for a ScaledObject, and would undo what is changed in it."""
        return any(owner["kind"] == "ScaledObject" for owner in self.raw["metadata"].get("ownerReferences", ()))

    def as_with(self, value: str | None) -> str:
        """Say the minimum."""
        return f"minReplicas {value}"

    def holding(self, floor: int) -> str:
        """Give the floor, or the minimum where that is higher."""
        maximum = self.raw["spec"]["maxReplicas"]
        if floor > maximum:
            raise Refused(
                f"{self.target} may have {counted(maximum, 'replica')} at most, not {floor}: "
                "raise its maxReplicas first"
            )
        return str(max(floor, int(self.value)))

    def _set(self, body: Object, value: str | None) -> None:
        body["spec"] = {"minReplicas": int(value or 1)}


def _has(fields: Object, path: tuple[str, ...]) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True
