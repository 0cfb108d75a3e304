"""What a procedure would do is said in one paragraph: its effects, and how many there are more."""

from starters.steering.planning import changes, would
from tests.starters.steering.said import status
from workflows.platform.run_status import RunStatus


def told(*texts: str) -> RunStatus:
    return status(said=tuple(("phase", text, "") for text in texts))


def test_only_what_would_be_done_is_said() -> None:
    plan = told("Replicas: 3", "Scale up: would: scale web from 3 to 5", "would page oncall", "it would be late")
    assert changes(plan) == ["Scale up: scale web from 3 to 5", "Page oncall"]
    assert would(plan).splitlines()[0] == "It would, as things are now:"


def test_nothing_is_said_as_nothing() -> None:
    assert would(told("Replicas: 3")) == "It would change nothing."


def test_a_long_plan_says_how_much_more_there_is() -> None:
    lines = would(told(*(f"would do {number}" for number in range(12)))).splitlines()
    assert len(lines) == 13
    assert would(told(*(f"would do {number}" for number in range(13)))).splitlines()[-1] == "  · and 1 further step"
    assert would(told(*(f"would do {number}" for number in range(15)))).splitlines()[-1] == "  · and 3 further steps"
