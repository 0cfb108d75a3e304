"""Posts of senders, read as their source reads them."""

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.records.alerts import Alert
from starters.sources import registry
from starters.sources.port import Post, Source
from starters.steering.mapping import Flaw, Ignored
from starters.steering.routes import Routes
from tests.starters.sources import senders
from tests.starters.sources.senders import BEGAN, SENDERS, Message, settings_of
from workers.settings import WebhookSettings

NOW = datetime(2026, 2, 4, 4, 0, tzinfo=UTC)


LATER = BEGAN + timedelta(minutes=9)


def source_of(name: str, **more: Any) -> Source:
    settings = WebhookSettings.model_validate({"sources": settings_of(name, **more)})
    mappings = Routes.model_validate(tomllib.loads(senders.RULES)).mapping
    (source,) = registry.built(settings.sources, mappings, senders.AMAZON.client)
    return source


def said(name: str, message: Message, **more: Any) -> list[Alert | Flaw | Ignored]:
    headers = {key.lower(): value for key, value in message.headers.items()}
    return [*source_of(name, **more).read(Post(headers, message.content, NOW)).items]


def one(name: str, message: Message, **more: Any) -> Alert:
    (item,) = said(name, message, **more)
    assert isinstance(item, Alert), item
    return item


each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
