"""What autoscalers say of themselves is read in words, and whether there is room for more."""

from datetime import UTC, datetime

import pytest

from activities.autoscaling.states import Autoscaling


@pytest.mark.parametrize(
    ("desired", "most", "at_maximum"),
    [(20, 20, True), (19, 20, False), (21, 20, True), (None, 20, False), (20, None, False)],
)
def test_it_is_at_its_maximum_where_it_wants_all(desired: int | None, most: int | None, *, at_maximum: bool) -> None:
    assert Autoscaling(hpa_max=most, hpa_desired=desired).at_maximum is at_maximum


@pytest.mark.parametrize(("paused", "most"), [(None, 20), (False, None), (True, None)])
def test_an_hpa_takes_away_what_is_above_its_maximum_and_kedas_can_be_paused(
    most: int | None, *, paused: bool | None
) -> None:
    assert Autoscaling(hpa_max=20, scaled_object_paused=paused).keeps_at_most == most


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Autoscaling(), "no HPA"),
        (Autoscaling(scaled_object_paused=True), "no HPA, KEDA paused"),
        (Autoscaling(scaled_object_paused=False), "no HPA"),
        (
            Autoscaling(
                hpa_min=3,
                hpa_max=20,
                hpa_current=5,
                hpa_desired=6,
                held_by="scale-1",
                held_until=datetime(2026, 11, 23, 10, 0, 7, tzinfo=UTC),
            ),
            "HPA 5 of 3–20, wants 6, held by scale-1 until 10:00:07 UTC",
        ),
    ],
)
def test_it_is_said_in_a_line(state: Autoscaling, said: str) -> None:
    assert str(state) == said
