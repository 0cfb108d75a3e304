"""A recovery's settings can be followed: something to look at, steps that rise to all, no Deployment twice."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from activities.catalogue.recovery import Component, RecoveryPolicy, TrafficPolicy


@pytest.mark.parametrize("given", [{"deployment": "d"}, {"health_url": "http://x"}, {"condition": "up == 1"}])
def test_a_component_has_something_to_look_at(given: dict[str, Any]) -> None:
    assert Component.model_validate(given)
    with pytest.raises(ValidationError, match="one of deployment, health_url and condition is required"):
        Component.model_validate(dict.fromkeys(given))


@pytest.mark.parametrize("steps", [(100,), (1, 100), (10, 25, 50, 100)])
def test_traffic_comes_back_in_rising_steps(steps: tuple[int, ...]) -> None:
    assert TrafficPolicy(steps=steps).steps == steps


@pytest.mark.parametrize(
    "steps", [(), (0, 100), (-5, 100), (50, 50, 100), (50, 25, 100), (10, 50), (50, 101), (100, 100)]
)
def test_other_steps_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="steps: must rise, from above 0 to 100"):
        TrafficPolicy(steps=steps)


def test_traffic_by_an_ingress_takes_its_name() -> None:
    assert TrafficPolicy(mode="ingress", ingress="canary").ingress == "canary"
    assert TrafficPolicy(mode="replicas").ingress is None
    with pytest.raises(ValidationError, match="ingress: required for the mode ingress"):
        TrafficPolicy(mode="ingress")


@pytest.mark.parametrize("order", [(("a", "a"),), (("a",), ("b", "a"))])
def test_a_deployment_that_stands_in_the_order_twice_is_refused(order: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ValidationError, match="order: a Deployment stands in it twice"):
        RecoveryPolicy(order=order)


def test_a_look_ends_before_the_next_begins() -> None:
    minute = timedelta(minutes=1)
    assert RecoveryPolicy(look_for=minute, watch_every=2 * minute)
    with pytest.raises(ValidationError, match="look_for: must be shorter than watch_every"):
        RecoveryPolicy(look_for=minute, watch_every=minute)
