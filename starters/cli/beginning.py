"""Begins a settings file: `runbooks config init`."""

import json
import os
from pathlib import Path

from pydantic import ValidationError

from activities.catalogue.service import Service
from starters.cli.facts import result
from starters.steering.errors import WrongInput
from workers.settings import explain
from workers.settings_reference import reference

_HEAD = """\
# Settings of durable runbooks. Everything that is a comment has the default that is shown.
# `runbooks config check` reads this file, `runbooks services` says what can run, docs/settings.md explains all of it.

[services.{name}]
namespace = {namespace}
deployment = {deployment}
selector = {selector}
health_url = {health_url}

"""


_ROUTES = """\
# Which alert starts what: the first rule that matches counts. More: docs/alert-sources.md, deploy/routes.toml.

[[route]]
match = { severity = "P1" }
procedure = "p1-incident"
"""


def write(
    file: Path, service: str, *, deployment: str, namespace: str, selector: str, health_url: str, as_json: bool
) -> None:
    """Write it, where there is none yet; and beside it the rules for alerts, where there are none.

    Raises:
        WrongInput: there is one, or these values can't be.

    """
    values = {"namespace": namespace, "deployment": deployment, "selector": selector, "health_url": health_url}
    try:
        Service.model_validate({**values, "name": service})
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
    routes = file.with_name("routes.toml")
    text = _HEAD.format(name=json.dumps(service), **{name: json.dumps(value) for name, value in values.items()})
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
            new.write(text + reference())
        if not routes.exists():
            routes.write_text(_ROUTES, encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}: nothing was written") from None
    sentence = f"{file}: written. `runbooks config check` reads it, `runbooks services` says what can run"
    result(sentence, as_json=as_json, file=file.resolve(), service=service)
