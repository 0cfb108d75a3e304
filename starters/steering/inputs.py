"""A procedure's input, checked before anything is started."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from activities.catalogue.lookup import Catalogue, ResolveService
from activities.catalogue.service import Service
from activities.common.errors import UnknownService
from starters.steering.errors import WrongInput
from starters.steering.identity import Person
from workers.registry import Procedure
from workers.settings import Settings, explain
from workflows.platform.signing import SignedWord

_Word = TypeVar("_Word", bound=SignedWord)
OF_RUNS = frozenset({"carried", "continues", "joined"})
"""Of a procedure's request: what a run hands on to itself, or to the one that goes on for it."""


def validated(procedure: Procedure, given: dict[str, Any]) -> BaseModel:
    """Make the request of what somebody has given.

    Raises:
        WrongInput: it is not the procedure's input; names the field and never its value.

    """
    try:
        return procedure.request.model_validate(given)
    except ValidationError as error:
        unknown = any(item["type"] == "extra_forbidden" for item in error.errors())
        fields = (name for name in procedure.request.model_fields if name not in OF_RUNS)
        known = f". Known fields: {', '.join(fields)}" if unknown else ""
        raise WrongInput(f"{explain(error)}{known}") from None


def check_service(procedure: Procedure, request: BaseModel, settings: Settings) -> None:
    """Refuse a service that isn't in the catalogue, or has no settings for the procedure; the run itself checks again.

    Where these settings have no services, as on a laptop, only the run can tell.

    Raises:
        WrongInput: lists the known services, or says what is missing and where it is added.

    """
    if not settings.services or "service" not in type(request).model_fields:
        return
    catalogue = Catalogue(settings.services, settings.approvals)
    try:
        found = catalogue.resolve(ResolveService(service=getattr(request, "service", None))).service
    except UnknownService as error:
        raise WrongInput(error.message) from None
    if lacking := missing(procedure, found):
        raise WrongInput(
            f"{procedure.command} can't run for {found.name}: {lacking}. `runbooks services` shows what can"
        )


def missing(procedure: Procedure, service: Service) -> str:
    """Say what a service's settings lack for a procedure, and where it is added; empty where it can run."""
    if not procedure.needs or getattr(service, procedure.needs) is not None:
        return ""
    return f"add [services.{service.name}.{procedure.needs}] to the settings"


def word_of_fields(kind: type[_Word], speaker: Person, fields: dict[str, Any]) -> _Word:
    """Make a person's word of what they have filled in.

    Raises:
        WrongInput: it is not that word; names the field and never its value.

    """
    try:
        return kind.model_validate({**fields, "who": speaker.who, "role": speaker.role})
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
