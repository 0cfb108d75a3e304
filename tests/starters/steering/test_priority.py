"""What goes first where many tasks wait."""

import pytest

from starters.steering.priority import priority
from workers.registry import PROCEDURES, procedure


@pytest.mark.parametrize(
    ("name", "severity", "key"),
    [
        ("p1-incident", None, 1),
        ("p2-incident", "P1", 1),
        ("p2-incident", "P2", 2),
        ("p2-incident", "P3", 2),
        ("manual-scale-up", None, 3),
        ("manual-scale-up", "P1", 1),
        ("enterprise-onboarding", None, 5),
        (None, None, 3),
    ],
)
def test_an_outage_goes_before_what_can_wait(name: str | None, severity: str | None, key: int) -> None:
    given = priority(procedure(name) if name else None, "shop", severity)  # type: ignore[arg-type]
    assert (given.priority_key, given.fairness_key) == (key, "shop")


def test_each_procedure_has_a_priority_that_temporal_takes() -> None:
    assert {of.priority for of in PROCEDURES} <= set(range(1, 6))


@pytest.mark.parametrize(
    ("service", "key"), [(None, None), ("", None), ("ä" * 40, "ä" * 32), ("a" + "ä" * 40, "a" + "ä" * 31)]
)
def test_a_service_s_name_becomes_a_key_that_temporal_takes(service: str | None, key: str | None) -> None:
    assert priority(None, service).fairness_key == key
