"""The procedures that the crash harness knows."""

from tests.crash.scenario import Scenario
from tests.crash.scenarios.p1_incident import P1Scenario

SCENARIOS: dict[str, Scenario] = {"p1_incident": P1Scenario()}
