"""A worker is killed at every effect of P1, and nothing is done twice, lost or left behind."""

import asyncio
from pathlib import Path

import pytest

from tests.crash.__main__ import summary
from tests.crash.harness import crash
from tests.crash.scenarios import SCENARIOS
from tests.crash.servers import servers


@pytest.mark.timeout(1800)
def test_a_worker_killed_at_any_effect_leaves_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    with servers(tmp_path) as shared:
        verdicts = asyncio.run(crash(SCENARIOS["p1_incident"], shared, told=print))
    print(summary(verdicts))
    assert [str(verdict) for verdict in verdicts if not verdict.clean] == []
    assert len(verdicts) > 40
