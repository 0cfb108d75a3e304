"""All of a process's configuration, looked at as a whole: every fault there is, and not the first alone."""

import tomllib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from activities.catalogue.service import Service
from starters.steering import routes
from workers import settings as settings_module
from workers.settings import Settings, SettingsError, config_file


def load(*, routed: bool, secrets: Collection[str] | None = None) -> tuple[Settings, routes.Routes | None]:
    """Read settings and, where `routed`, routing rules; those are read at their place though settings are wrong.

    `secrets` are the sections whose secrets the process uses.

    Raises:
        SettingsError: all that is wrong in both, a line each.

    """
    settings: Settings | None = None
    rules: routes.Routes | None = None
    wrong: list[str] = []
    try:
        settings = settings_module.load(secrets=secrets)
    except SettingsError as error:
        wrong.append(str(error))
    if routed:
        file, services = (settings.path(settings.webhook.routes), settings.services) if settings is not None else _raw()
        try:
            rules = routes.load(file, services, settings.webhook.sources if settings is not None else None)
        except SettingsError as error:
            wrong.append(str(error))
    if settings is None or wrong:
        raise SettingsError("\n".join(wrong))
    return settings, rules


def _raw() -> tuple[Path, dict[str, Any]]:
    """Name the file of rules and the services as far as wrong settings tell them."""
    file, content = config_file(), {}
    with suppress(OSError, ValueError):
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    webhook, services = content.get("webhook"), content.get("services")
    named = webhook.get("routes") if isinstance(webhook, dict) else None
    place = file.resolve().parent / (named if isinstance(named, str) else "routes.toml")
    known: dict[str, Any] = dict(services) if isinstance(services, dict) else {}
    for name, values in known.items():
        with suppress(ValidationError):
            known[name] = Service.model_validate(values)
    return place, known
