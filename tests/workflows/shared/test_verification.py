"""A change is verified only where the rollout is complete and the service is healthy; what is unread is neither."""

import pytest

from activities.kubernetes.states import Rollout
from activities.monitoring.health import Health, Steadiness
from workflows.shared.verification import Verification


def rollout(*, complete: bool = True) -> Rollout:
    return Rollout(complete=complete, ready=3, replicas=3, revision=2, seconds=4, reason="" if complete else "slow")


def health(*, steady: bool = True) -> Steadiness:
    last = Health(status="healthy" if steady else "degraded", milliseconds=1)
    return Steadiness(steady=steady, last=last, checks=1, seconds=1, longest=1)


@pytest.mark.parametrize(
    ("seen", "said", "trouble"),
    [
        (rollout(), health(), ""),
        (None, health(), "the rollout could not be watched"),
        (rollout(complete=False), health(), "the rollout is not complete: slow"),
        (rollout(), None, "the health could not be asked"),
        (rollout(), health(steady=False), "the service is degraded"),
        (None, None, "the rollout could not be watched"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(seen: Rollout | None, said: Steadiness | None, trouble: str) -> None:
    found = Verification(rollout=seen, health=said)
    assert found.trouble.startswith(trouble)
    assert found.ok is (found.trouble == "") is (trouble == "")
    assert found.complete is (seen is not None and seen.complete)
