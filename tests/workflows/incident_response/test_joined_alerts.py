"""Which alerts of an incident still fire, in whatever order their posts arrive."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from activities.records.alerts import Alert
from workflows.incident_response.joined_alerts import JoinedAlerts

AT = datetime(2026, 2, 4, 3, tzinfo=UTC)


def alert(fingerprint: str, *, minutes: int = 0, status: str = "firing") -> Alert:
    at = AT + timedelta(minutes=minutes)
    return Alert(source="am", fingerprint=fingerprint, name="Down", starts_at=at, status=status)


EPISODE = [alert("a"), alert("a", status="resolved"), alert("a", minutes=5), alert("a", minutes=5, status="resolved")]


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_when_all_has_been_told_nothing_fires(order: tuple[int, ...]) -> None:
    joined = JoinedAlerts()
    for number in order:
        told = EPISODE[number]
        (joined.ends if told.status == "resolved" else joined.fires)(told)
    assert joined.firing == []


def test_the_end_of_an_earlier_firing_leaves_the_later_one() -> None:
    joined = JoinedAlerts()
    assert [joined.fires(EPISODE[0]), joined.fires(EPISODE[2]), joined.fires(EPISODE[2])] == [True, True, False]
    assert joined.ends(EPISODE[1])
    assert not joined.ends(EPISODE[1])
    assert joined.firing == [EPISODE[2]]


def test_an_earlier_firing_that_comes_late_is_recorded_and_is_not_the_one_that_fires() -> None:
    joined = JoinedAlerts()
    assert [joined.fires(EPISODE[2]), joined.fires(EPISODE[0])] == [True, True]
    assert joined.firing == [EPISODE[2]]


def test_another_source_may_use_the_same_fingerprint() -> None:
    joined = JoinedAlerts()
    other = alert("a", minutes=5).model_copy(update={"source": "by hand"})
    assert [joined.fires(EPISODE[0]), joined.fires(other)] == [True, True]
    assert joined.firing == [EPISODE[0], other]
