"""What makes an effect happen once, and what it leaves behind for the reader.

An effect is an activity that changes something outside. Its request carries an `Effect`, its result is a
`Change`, and the method is marked with `@effect`, so that the crash harness can find all of them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_Method = TypeVar("_Method", bound=Callable[..., Any])
_MARK = "__runbooks_effect__"


class Effect(BaseModel):
    """The identity of one effect: the same for every attempt, different for every step of every run."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(description="Workflow ID, first run ID and step, joined by '/'.", min_length=1)
    workflow_id: str
    run_id: str
    actor: str = Field(description="Who started or approved what this effect belongs to.")
    dry_run: bool = Field(default=False, description="Do everything but the effect.")


class Change(BaseModel):
    """What an effect did to its target, in the target's own terms."""

    target: str = Field(description="For example `deployment/tensafe-server`.")
    before: str = ""
    after: str
    applied: bool = Field(description="False in plan mode, or where an earlier attempt had done it already.")
    note: str = ""

    def __str__(self) -> str:
        """One line for the timeline."""
        text = f"{self.target}: {self.before} → {self.after}" if self.before else f"{self.target}: {self.after}"
        return f"{text} ({self.note})" if self.note else text


def effect(method: _Method) -> _Method:
    """Mark an activity method as an effect."""
    setattr(method, _MARK, True)
    return method


def is_effect(method: Callable[..., Any]) -> bool:
    """Tell whether an activity method changes something outside."""
    return bool(getattr(method, _MARK, False))
