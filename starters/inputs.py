"""A procedure's input from the command line, validated before anything is started."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from activities.errors import UnknownService
from activities.service_lookup import Catalogue, ResolveService
from starters.people import Exit, Stop
from workers.registry import Procedure
from workers.settings import Settings, explain


def request(procedure: Procedure, text: str | None, fields: Iterable[str], **defaults: Any) -> BaseModel:
    """Build the request from JSON (or `@file`, or `-` for stdin), then `field=value` over it, then defaults under it.

    Raises:
        Stop: it is not the procedure's input; names the field and never its value.

    """
    given = _object(text) if text else {}
    for field in fields:
        _set(given, field)
    try:
        return procedure.request.model_validate(defaults | given)
    except ValidationError as error:
        unknown = any(item["type"] == "extra_forbidden" for item in error.errors())
        known = f". Known fields: {', '.join(procedure.request.model_fields)}" if unknown else ""
        raise Stop(Exit.USAGE, f"{explain(error)}{known}") from None


def check_service(request: BaseModel, settings: Settings) -> None:
    """Refuse a service that isn't in the catalogue, where these settings have one; the run itself checks again.

    Raises:
        Stop: lists the known ones.

    """
    if not settings.services or "service" not in type(request).model_fields:
        return
    catalogue = Catalogue(settings.services, settings.approvals)
    try:
        catalogue.resolve(ResolveService(service=getattr(request, "service", None)))
    except UnknownService as error:
        raise Stop(Exit.USAGE, error.message) from None


def _object(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise Stop(Exit.USAGE, f"--input: cannot read the file: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        where = f" ({error.msg}, line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Stop(Exit.USAGE, f"--input: not JSON{where}") from None
    if not isinstance(value, dict):
        raise Stop(Exit.USAGE, "--input: a JSON object is expected, such as the catalogue's example_input")
    return value


def _set(target: dict[str, Any], assignment: str) -> None:
    """Set one field; `a.b=1` sets a field of a field."""
    path, equals, text = assignment.partition("=")
    *parents, name = path.split(".")
    if not equals or not name or not all(parents):
        raise Stop(Exit.USAGE, "--set: expected field=value")
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise Stop(Exit.USAGE, f"--set: {parent} is not an object")
    target[name] = _value(text)


def _value(text: str) -> Any:
    """Read lists, objects, quoted strings and null as JSON; all else is text, which the model makes a number of."""
    if text == "null" or text.startswith(("[", "{", '"')):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
