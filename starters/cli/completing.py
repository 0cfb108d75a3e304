"""What a shell offers at Tab: live runs, procedures, services, fields, choices; nothing where something fails."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from starters.steering.session import Session
    from workers.settings import Settings

_WITHIN = timedelta(seconds=2)


def runs(incomplete: str) -> list[str]:
    """Offer open runs, by what commands call them."""

    async def asked() -> list[str]:
        from starters.steering.listing import Wanted, executions, name_of  # noqa: PLC0415

        session = await _session()
        return [name_of(one) async for one in executions(session, Wanted(), running=True)]

    return _offered([*_live(asked), "-"], incomplete)


def procedures(incomplete: str) -> list[str]:
    """Offer procedures that a service's settings fit, or all where these settings have no service."""
    from starters.steering.inputs import missing  # noqa: PLC0415
    from workers.registry import PROCEDURES  # noqa: PLC0415

    fitting = [procedure.command for procedure in PROCEDURES]
    try:
        services = [one.model_copy(update={"name": name}) for name, one in _settings().services.items()]
    except Exception:  # noqa: BLE001  a shell that waits for words gets words, or none
        services = []
    if services:
        fitting = [one.command for one in PROCEDURES if any(not missing(one, service) for service in services)]
    return _offered(fitting, incomplete)


def services(incomplete: str) -> list[str]:
    """Offer the settings' services."""
    try:
        return _offered(_settings().services, incomplete)
    except Exception:  # noqa: BLE001
        return []


def fields(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the fields of the procedure that is being started, each with its `=`."""
    from workers.registry import procedure  # noqa: PLC0415

    try:
        known = procedure(_first(context, "name")).request.model_fields
    except KeyError:
        return []
    return _offered([f"{name}=" for name in known], incomplete)


def choices(context: typer.Context, incomplete: str) -> list[str]:
    """Offer what the run's open questions offer."""

    async def asked() -> list[str]:
        from starters.steering.finding import find  # noqa: PLC0415
        from starters.steering.runs import status_of  # noqa: PLC0415

        run = await find(await _session(), _first(context, "reference"))
        return [choice for question in (await status_of(run)).questions for choice in question.options]

    return _offered(_live(asked), incomplete)


def _first(context: typer.Context, parameter: str) -> str:
    """Give the command's argument; behind an option that still has no value, what was typed stands unread."""
    return str(context.params.get(parameter) or next((one for one in context.args if not one.startswith("-")), ""))


async def _session() -> "Session":
    from starters.steering.session import open_session  # noqa: PLC0415

    return await open_session(_settings())


def _settings() -> "Settings":
    from starters.cli.configured import load_settings  # noqa: PLC0415

    os.environ["RUNBOOKS_QUIET"] = "1"  # a hint would stand in the middle of what is being typed
    return load_settings()


def _live(asked: Callable[[], Awaitable[list[str]]]) -> list[str]:
    async def in_time() -> list[str]:
        async with asyncio.timeout(_WITHIN.total_seconds()):
            return await asked()

    try:
        return asyncio.run(in_time())
    except Exception:  # noqa: BLE001
        return []


def _offered(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]
