"""Pages as runs ask for them."""

from typing import Any

from activities.messages.paging.paging import AcknowledgePage, PageOnCall, ResolvePage
from tests.records_schema.fixtures import effect


def page(step: str = "page", level: int = 1, **changed: Any) -> PageOnCall:
    plan = changed.pop("dry_run", False)
    return PageOnCall(
        incident_id="INC-1",
        service="tensafe-server",
        severity="P1",
        rotation="primary",
        level=level,
        summary="API down",
        link="http://127.0.0.1:8233/run",
        effect=effect(step, dry_run=plan),
    ).model_copy(update=changed)


def resolve(step: str = "resolve", levels: int = 2, *, dry_run: bool = False) -> ResolvePage:
    return ResolvePage(incident_id="INC-1", levels=levels, effect=effect(step, dry_run=dry_run))


def acknowledge(step: str = "ack", levels: int = 2, *, dry_run: bool = False) -> AcknowledgePage:
    return AcknowledgePage(incident_id="INC-1", by="ada", levels=levels, effect=effect(step, dry_run=dry_run))
