"""The list of all procedures, with what is needed to start one."""

import json
import secrets
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from activities.catalogue.run_ids import run_id
from workers.registry import PROCEDURES, Procedure
from workers.settings import Settings


class Item(TypedDict):
    """One procedure, as `runbooks catalogue --json` gives it."""

    section: str
    procedure: str
    workflow_type: str
    task_queue: str
    title: str
    example_input: dict[str, Any]
    schema: dict[str, Any]
    start_url: str


def catalogue(settings: Settings) -> list[Item]:
    """List them in the runbook's order."""
    return [item(procedure, settings) for procedure in PROCEDURES]


def item(procedure: Procedure, settings: Settings) -> Item:
    """Give one procedure; imports it only where `make docs` has not written its schema yet."""
    return Item(
        section=procedure.section,
        procedure=procedure.name,
        workflow_type=procedure.workflow_type,
        task_queue=settings.temporal.task_queue,
        title=procedure.title,
        example_input=procedure.example | ({"service": only} if (only := _only_service(settings)) else {}),
        schema=_written().get(procedure.name) or procedure.request.model_json_schema(),
        start_url=start_url(procedure, settings),
    )


def schemas() -> dict[str, dict[str, Any]]:
    """Give the JSON Schema of each procedure's request, by its name; imports them all, which takes half a second."""
    return {one.name: one.request.model_json_schema() for one in PROCEDURES}


@cache
def _written() -> dict[str, dict[str, Any]]:
    """Read what `python -m docs` wrote of `schemas`, so that nobody who lists procedures waits for their imports."""
    text = files("starters.steering").joinpath("schemas.json").read_text(encoding="utf-8")
    written: dict[str, dict[str, Any]] = json.loads(text)
    return written


def _only_service(settings: Settings) -> str | None:
    return next(iter(settings.services)) if len(settings.services) == 1 else None


def service_run_id(procedure: Procedure, service: str) -> str:
    """Give the ID of the one run of a procedure that a service has at a time."""
    return run_id(procedure.command, service)


def one_of_a_service(procedure: Procedure, request: BaseModel, settings: Settings) -> str | None:
    """Give that ID for a person's start; None where there may be several, or it is only a plan, or nobody knows."""
    service = getattr(request, "service", None) or _only_service(settings)
    if not procedure.one_a_service or service is None or getattr(request, "dry_run", False):
        return None
    return service_run_id(procedure, service)


def new_workflow_id(procedure: Procedure) -> str:
    """Choose the ID of a run that a person starts; two people who start one at the same time get two."""
    return f"{procedure.command}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def start_url(procedure: Procedure, settings: Settings) -> str:
    """Give the address of the Temporal UI's start form, filled in for a procedure.

    But for the input: the form takes no address' word for that, only an earlier run's.
    """
    # Which of several services is meant is not known here: whoever starts one of these fills that in.
    service = _only_service(settings) or "SERVICE"
    workflow_id = service_run_id(procedure, service) if procedure.one_a_service else new_workflow_id(procedure)
    query = urlencode(
        {
            "workflowType": procedure.workflow_type,
            "taskQueue": settings.temporal.task_queue,
            "workflowId": workflow_id,
        },
        quote_via=quote,
    )
    namespace = quote(settings.temporal.namespace, safe="")
    return f"{settings.temporal.ui_url}/namespaces/{namespace}/workflows/start-workflow?{query}"
