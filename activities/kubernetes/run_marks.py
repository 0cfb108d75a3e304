"""Marks of runs on objects of a cluster: which run keeps an object as it is, and until when.

A mark is an annotation. That of a run which was terminated expires: then nobody is kept away any more, and what the run
has left is given back (`activities.holds`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

_GRACE = timedelta(minutes=10)
"""How long a run may take to remove its mark, before another takes the object over."""


class BroughtBack(BaseModel):
    """What the annotation of a Deployment holds whose stop a run has ended."""

    model_config = ConfigDict(frozen=True)

    run: str
    at: AwareDatetime


class RunMark(BaseModel):
    """What the annotation holds."""

    model_config = ConfigDict(frozen=True)

    run: str
    """Workflow ID: a run that continues as new, or is reset, goes on keeping what it keeps."""
    until: AwareDatetime
    replicas: int | None = None
    """Of a Deployment that is kept without any: how many it had."""

    def __str__(self) -> str:
        return f"{self.run} until {self.until:%Y-%m-%d %H:%M:%S %Z}"


def read(annotations: Mapping[str, str], name: str) -> RunMark | None:
    """Give the mark of that name; None where there is none, or it has expired."""
    mark = written(annotations, name)
    return mark if mark is not None and mark.until + _GRACE > datetime.now(UTC) else None


def brought_back(annotations: Mapping[str, str], name: str) -> BroughtBack | None:
    """Give who has ended its last stop, and when; None where nobody has."""
    try:
        return BroughtBack.model_validate_json(annotations.get(name, ""))
    except ValidationError:
        return None


def written(annotations: Mapping[str, str], name: str) -> RunMark | None:
    """Give the mark of that name, an expired one too: for its own run, and for whoever clears up behind that."""
    try:
        return RunMark.model_validate_json(annotations.get(name, ""))
    except ValidationError:
        return None  # there is none, or somebody edited it by hand
