"""The system's own runs have effects with an identity that attempts and resets keep."""

from types import SimpleNamespace

import pytest
from temporalio import workflow

from workflows.upkeep.own_steps import own_effect


def of_run(monkeypatch: pytest.MonkeyPatch, run_id: str, first: str = "r1") -> None:
    info = SimpleNamespace(workflow_id="give-back/x", first_execution_run_id=first, run_id=run_id)
    monkeypatch.setattr(workflow, "info", lambda: info)


def test_a_reset_run_has_the_same_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    of_run(monkeypatch, "r1")
    before = own_effect("tell", "sweep-holds")
    of_run(monkeypatch, "r2")
    after = own_effect("tell", "sweep-holds")
    assert (before.key, after.key) == ("give-back/x/r1/tell", "give-back/x/r1/tell")
    assert (before.run_id, after.run_id) == ("r1", "r2")


def test_another_run_and_another_step_have_others(monkeypatch: pytest.MonkeyPatch) -> None:
    of_run(monkeypatch, "r1")
    keys = {own_effect(step, "sweep-holds").key for step in ("tell", "give-back")}
    of_run(monkeypatch, "r9", first="r9")
    assert len(keys | {own_effect("tell", "sweep-holds").key}) == 3
