"""Results and figures are said as people call them, each with its unit; what is empty or doesn't hold is not said."""

from typing import Any

import pytest

from audit.wording import ITEMS, called, duration, field, figure, heading, percent, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "no data"), (0.0004, "0.4 ms"), (0.0414, "41 ms"), (0.9996, "1000 ms"), (1.333, "1.33 s")],
)
def test_a_latency_has_as_many_digits_as_it_is_worth(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_a_share_has_two_decimals() -> None:
    assert [percent(share) for share in (None, 0.001, 0.44)] == ["no data", "0.10 %", "44.00 %"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (8 * 1024**3, "8.0 GiB"),
        (2 * 1024**4, "2.0 TiB"),
    ],
)
def test_bytes_are_said_in_their_largest_unit(number: float, said: str) -> None:
    assert size(number) == said


def test_a_name_is_said_as_people_say_it() -> None:
    assert (called("hpa_max"), called("error_rate"), heading("error_rate")) == (
        "HPA at most",
        "error rate",
        "Error rate",
    )
    assert (figure("error_rate", 0.05), figure("nonesuch", 1.5)) == ("5.00 %", "1.5")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("complete", True, "complete"),
        ("complete", False, ""),
        ("note", "", ""),
        ("more", 0, ""),
        ("more", 2, "more: 2"),
        ("restarts", 0, "restarts: 0"),
        ("seconds", 7.61234, "took 7.612 s"),
        ("milliseconds", 7.6, "took 7.6 ms"),
        ("replicas", 5, "replicas: 5"),
        ("pods", ["a"], "1 pod"),
        ("pods", ["a", "b"], "2 pods"),
        (ITEMS, ["a", "b"], "2 in all"),
        ("approvals", {"roles": {}}, ""),
        ("rollout", {"ready": 3, "complete": True}, "ready: 3, complete"),
        ("server", {"name": "db-1", "rows": [1]}, "server: db-1"),
        ("created_at", "2026-02-04T03:00:00+00:00", "created 2026-02-04 03:00:00 UTC"),
        ("created_at", "yesterday", "created yesterday"),
        ("version", "v1.2.3", "version: v1.2.3"),
    ],
)
def test_a_field_is_said_or_left_out(name: str, value: Any, said: str) -> None:
    assert field(name, value) == said
