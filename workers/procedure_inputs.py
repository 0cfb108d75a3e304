"""Builds the request of a procedure that another one runs as its step (runbook 6.1)."""

from pydantic import ValidationError

from activities.catalogue.procedures import BuildRequest, BuiltRequest
from activities.common.errors import InvalidInput
from workers.registry import procedure
from workers.settings import explain
from workflows.platform.requests import ServiceRequest

_NEVER_A_STEP = "maintenance_window"
"""A window within a window would wait for the end of itself."""


def build(asked: BuildRequest) -> BuiltRequest:
    """Build and check a request.

    Raises:
        InvalidInput: there is no such procedure, it can be no step, or its input is wrong or about another service.

    """
    try:
        entry = procedure(asked.procedure)
    except KeyError as error:
        raise InvalidInput(str(error.args[0])) from None
    if entry.name == _NEVER_A_STEP:
        raise InvalidInput(f"{entry.command} can't be a task of a window")
    given = {"requested_by": asked.requested_by, **asked.input}
    if asked.dry_run:
        given["dry_run"] = True
    about_a_service = issubclass(entry.request, ServiceRequest)
    if about_a_service and given.get("service") is None:
        given["service"] = asked.service
    try:
        request = entry.request.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(f"{entry.command}: {explain(error)}") from None
    if about_a_service and given["service"] != asked.service:
        raise InvalidInput(f"{entry.command}: service: the window is one of {asked.service}")
    return BuiltRequest(
        workflow_type=entry.workflow_type,
        section=entry.section,
        title=entry.title,
        input=request.model_dump(mode="json"),
    )
