"""A person's run has the ID that the service's alerts join; any other is refused with the one to use."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import workflow

from activities.common.errors import InvalidInput
from activities.records.alerts import Alert
from tests.workflows.worlds.world import World
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.shared.one_a_service import require_its_id

SERVICE = World().service.model_copy(update={"name": "api"})

ALERT = Alert(source="alertmanager", fingerprint="f", name="Down", starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC))


def require(monkeypatch: pytest.MonkeyPatch, has: str, *, known: bool = True, **fields: Any) -> None:
    monkeypatch.setattr(workflow, "info", lambda: SimpleNamespace(workflow_id=has))
    run = cast("Runbook", SimpleNamespace(pinned=SimpleNamespace(one_run_a_service=known)))
    require_its_id(run, "p1-incident", ServiceRequest.model_construct(**fields), SERVICE)


def test_another_id_is_refused_with_the_one_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="start it as 'p1-incident/api'"):
        require(monkeypatch, "mine")


@pytest.mark.parametrize(
    ("has", "fields"),
    [
        ("p1-incident/api", {}),
        ("mine", {"dry_run": True}),
        ("mine", {"alert": ALERT}),
        ("mine", {"known": False}),
    ],
)
def test_its_own_id_a_plan_an_alert_and_a_run_from_before_may_go_on(
    monkeypatch: pytest.MonkeyPatch, has: str, fields: dict[str, Any]
) -> None:
    require(monkeypatch, has, **fields)
