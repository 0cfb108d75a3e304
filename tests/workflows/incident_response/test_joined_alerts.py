"""Which alerts of an incident still fire, in whatever order their posts arrive."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from activities.records.alerts import Alert
from workflows.incident_response.joined_alerts import JoinedAlerts, UnnamedEnds

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


def test_an_end_that_tells_no_start_is_of_the_last_firing_before_it() -> None:
    joined = JoinedAlerts()
    for told in (alert("a"), alert("b", minutes=2), alert("a", minutes=5)):
        joined.fires(told)
    ended = AT + timedelta(minutes=9)
    end = Alert(source="am", fingerprint="a", name="Down", starts_at=ended, ends_at=ended, status="resolved")
    assert end.of_whichever
    named = joined.named(end)
    assert (named.starts_at, named.ends_at) == (AT + timedelta(minutes=5), ended)
    assert joined.ends(named)
    assert [one.fingerprint for one in joined.firing] == ["b"]
    # Nothing fires any more that it could be of; nor does what begins later.
    assert joined.named(end) == end
    joined.fires(alert("a", minutes=20))
    assert joined.named(end) == end


def test_an_end_that_names_no_firing_counts_for_those_that_come_after_it() -> None:
    ends, ended = UnnamedEnds(), AT + timedelta(minutes=9)
    of_whichever = Alert(source="am", fingerprint="a", name="Down", starts_at=ended, ends_at=ended, status="resolved")
    assert not ends.cover(alert("a"))
    ends.add(of_whichever)
    earlier = of_whichever.model_copy(update={"starts_at": AT, "ends_at": AT})
    ends.add(earlier)  # it comes late: the last one counts
    ends.add(alert("b", status="resolved"))  # an end that tells its start is of that firing alone
    covered = [ends.cover(alert(name, minutes=at)) for name, at in (("a", 0), ("a", 9), ("a", 10), ("b", 0))]
    assert covered == [True, True, False, False]
    assert not ends.cover(alert("a").model_copy(update={"key": "cycle-1"}))
    assert not ends.cover(alert("a").model_copy(update={"source": "by hand"}))


def test_an_end_that_is_named_gets_the_start_of_its_firing() -> None:
    joined = JoinedAlerts()
    fires = alert("a").model_copy(update={"key": "cycle-1"})
    assert joined.fires(fires)
    assert not joined.fires(fires.model_copy(update={"starts_at": AT + timedelta(minutes=5)}))
    end = alert("a", minutes=9, status="resolved").model_copy(update={"key": "cycle-1", "ends_at": AT})
    assert joined.named(end).starts_at == AT
    other = end.model_copy(update={"key": "cycle-2"})
    assert joined.named(other) == other
