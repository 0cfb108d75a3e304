"""Which nodes two services may share a cause by, and which runs look for one."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.kubernetes.states import Pod, Pods
from workflows.platform.runbook import Runbook
from workflows.shared.shared_causes import _unwell_nodes, knows_others


def pod(node: str, *, ready: bool) -> Pod:
    created = datetime(2026, 2, 4, tzinfo=UTC)
    return Pod(name="p", phase="Running", ready=ready, restarts=0, image="i", node=node, created_at=created)


def test_only_nodes_of_pods_that_are_not_ready_count() -> None:
    pods = [pod("a", ready=True), pod("b", ready=False), pod("", ready=False), pod("b", ready=False)]
    assert _unwell_nodes(Pods(items=pods)) == {"b"}
    assert _unwell_nodes(None) == set()


@pytest.mark.parametrize(
    ("pinned", "expected"),
    [(None, False), (SimpleNamespace(neighbours=None), False), (SimpleNamespace(neighbours=[]), True)],
)
def test_a_run_from_before_looks_for_none(pinned: Any, *, expected: bool) -> None:
    assert knows_others(cast("Runbook", SimpleNamespace(pinned=pinned))) is expected
