"""The harness kills PostgreSQL, and sees it where nobody has brought it back."""

import asyncio
from typing import Any, ClassVar

from sandbox.service_database import PRIMARY
from tests.crash.database_world import DatabaseScenario
from tests.crash.harness import crash
from tests.crash.scenario import Case, Scenario, Servers
from tests.crash.scenarios.manual_scale_up import ManualScaleUpScenario

SCALE = "ManualScaleUp/scale"


class OnItsDatabaseScenario(DatabaseScenario):
    """A procedure that knows nothing of databases: what happens to the servers is the harness' doing alone."""

    name = "scale-up-on-its-database"
    procedure = "manual_scale_up"
    databases: ClassVar = {SCALE: (PRIMARY,)}
    leaves: ClassVar = {
        "the service is pointed at primary": 1,
        "primary takes writes": 1,
        "replica-1 is in recovery": 1,
        "the service can write": 1,
        "rows of events": 500,
    }

    def request(self, case: Case) -> Any:
        return ManualScaleUpScenario().request(case)


def test_a_killed_server_that_nobody_brings_back_is_seen(crash_servers: Servers) -> None:
    def wanted(_: Scenario, kill: str) -> bool:
        return kill == f"{SCALE}:during@{PRIMARY}"

    (verdict,) = asyncio.run(crash(OnItsDatabaseScenario(), crash_servers, chosen=wanted))
    assert verdict.killed, verdict
    assert verdict.paused == ["the service can't write (OperationalError)"], verdict
    assert "primary runs" in verdict.lost, verdict
    # That the service is ill then is for the procedure to see, or not: it may have looked before.
    assert not [name for name in verdict.lost + verdict.duplicates if name.startswith("replica-1")], verdict
