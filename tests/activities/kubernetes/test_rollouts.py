"""A Deployment's revisions as they are read while its controller is at work."""

from typing import Any

import pytest

from activities.kubernetes.rollouts import ReplicaSet, Rollouts

GOOD, BAD = "registry.example/shop:v1.2.3", "registry.example/shop:v1.2.4"


def template(image: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "shop", **labels}},
        "spec": {"containers": [{"name": "shop", "image": image}]},
    }


def numbered(number: int) -> dict[str, str]:
    return {"deployment.kubernetes.io/revision": str(number)}


def rollouts(asks_for: str, noted: int, *made: tuple[int, str]) -> Rollouts:
    """Give a Deployment that asks for an image and has been numbered, with the ReplicaSets that are there."""
    sets = tuple(
        ReplicaSet(
            {
                "metadata": {"name": f"shop-{number}", "annotations": numbered(number)},
                "spec": {"template": template(image, {"pod-template-hash": f"hash{number}"})},
            }
        )
        for number, image in made
    )
    return Rollouts({"metadata": {"annotations": numbered(noted)}, "spec": {"template": template(asks_for, {})}}, sets)


@pytest.mark.parametrize(
    ("found", "current"),
    [
        (rollouts(BAD, 2, (1, GOOD), (2, BAD)), 2),
        (rollouts(BAD, 1, (1, GOOD), (2, BAD)), 2),
        (rollouts(BAD, 1, (1, GOOD)), 1),
        (rollouts(GOOD, 2, (1, GOOD), (2, BAD)), 2),
        (rollouts(GOOD, 2, (2, BAD), (3, GOOD)), 3),
        (rollouts(GOOD, 0), 0),
    ],
    ids=["settled", "made, not numbered", "not made yet", "gone back to, not numbered", "gone back to", "nothing made"],
)
def test_the_revision_that_is_current_while_the_controller_is_at_work(found: Rollouts, current: int) -> None:
    assert found.revision == current
    assert (found.current.revision if found.current else 0) == current
