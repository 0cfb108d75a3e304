"""A procedure's input, checked before anything is started."""

from typing import Any

from pydantic import BaseModel, ValidationError

from activities.catalogue.lookup import Catalogue, ResolveService
from activities.common.errors import UnknownService
from starters.steering.errors import WrongInput
from workers.registry import Procedure
from workers.settings import Settings, explain


def validated(procedure: Procedure, given: dict[str, Any]) -> BaseModel:
    """Make the request of what somebody has given.

    Raises:
        WrongInput: it is not the procedure's input; names the field and never its value.

    """
    try:
        return procedure.request.model_validate(given)
    except ValidationError as error:
        unknown = any(item["type"] == "extra_forbidden" for item in error.errors())
        known = f". Known fields: {', '.join(procedure.request.model_fields)}" if unknown else ""
        raise WrongInput(f"{explain(error)}{known}") from None


def check_service(request: BaseModel, settings: Settings) -> None:
    """Refuse a service that isn't in the catalogue, where these settings have one; the run itself checks again.

    Raises:
        WrongInput: lists the known ones.

    """
    if not settings.services or "service" not in type(request).model_fields:
        return
    catalogue = Catalogue(settings.services, settings.approvals)
    try:
        catalogue.resolve(ResolveService(service=getattr(request, "service", None)))
    except UnknownService as error:
        raise WrongInput(error.message) from None
