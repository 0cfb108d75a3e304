"""A release knows the revision that it takes the place of."""

from types import SimpleNamespace
from typing import Any

import pytest

from workflows.deployment.plan import Plan


@pytest.mark.parametrize(("current", "revision"), [(None, 0), (SimpleNamespace(number=7), 7)])
def test_the_revision_is_what_ran_before(current: Any, revision: int) -> None:
    nothing: Any = None
    plan = Plan(
        service=nothing,
        policy=nothing,
        version="v2",
        change_log="",
        desk=nothing,
        before=SimpleNamespace(current=current),  # type: ignore[arg-type]
        upgrading=nothing,
    )
    assert plan.revision == revision
