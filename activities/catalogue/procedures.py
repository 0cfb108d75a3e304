"""Other procedures as steps of one: what was typed as their input becomes their request before anything begins."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity


class BuildRequest(BaseModel):
    """A procedure and what somebody gave for its input."""

    procedure: str = Field(description="Its name, command or workflow type.")
    input: dict[str, Any]
    service: str = Field(description="What it must be about; filled in where its input names none.")
    requested_by: str = ""
    dry_run: bool = False


class BuiltRequest(BaseModel):
    """What it is started with."""

    workflow_type: str
    section: str
    title: str
    input: dict[str, Any] = Field(description="Its request, complete and checked.")


class Procedures:
    """Builds requests by the worker's registry; the answer is pinned in history."""

    def __init__(self, build: Callable[[BuildRequest], BuiltRequest]) -> None:
        self._build = build

    @activity.defn(name="procedures.build")
    def build(self, request: BuildRequest) -> BuiltRequest:
        """Build a request.

        Raises:
            InvalidInput: there is no such procedure, or its input is wrong; says which field.

        """
        return self._build(request)
