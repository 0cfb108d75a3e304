"""The webhook with all senders' sources, on a Temporal of choice; SNS is played by `senders.AMAZON`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from starters.sources import registry
from starters.steering import routes
from starters.webhook.app import application
from starters.webhook.intake import Intake
from tests.starters.sources.senders import AMAZON, RULES, Message, settings_of
from tests.starters.support import no_incident, settings_for
from tests.workflows.worlds.world import World
from workers.clients import connect


@asynccontextmanager
async def serving(
    address: str,
    queue: str,
    folder: Path,
    *,
    rules: str = RULES,
    sources: dict[str, Any] | None = None,
    credentials: dict[str, Any] | None = None,
    **webhook: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    given = settings_of() if sources is None else sources
    settings = settings_for(address, queue, folder, World(), sources=given, **webhook)
    if credentials is not None:
        changed = settings.webhook.model_copy(update=credentials)
        settings = settings.model_copy(update={"webhook": changed})
    (folder / "routes.toml").write_text(rules, encoding="utf-8")
    await no_incident(address)
    known = routes.load(folder / "routes.toml", settings.services, settings.webhook.sources)
    client = await connect(settings.temporal, lazy=True)
    intake = Intake(client, known, queue, settings.services)

    async def ready() -> bool:
        return True

    built = registry.built(settings.webhook.sources, known.mapping, AMAZON.client)
    app = application(settings.webhook, intake, ready, sources=built)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://webhook") as http:
        yield http


async def post(http: httpx.AsyncClient, source: str, message: Message) -> httpx.Response:
    return await http.post(f"/webhooks/{source}", content=message.content, headers=message.headers)


async def outcomes(http: httpx.AsyncClient, source: str, message: Message) -> list[str]:
    answer = await post(http, source, message)
    assert answer.status_code == 202, answer.text
    return [one["outcome"] for one in answer.json()["alerts"]]
