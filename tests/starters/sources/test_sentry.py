"""Sentry's events as alerts."""

from datetime import timedelta

from tests.starters.sources import senders
from tests.starters.sources.reading import one
from tests.starters.sources.senders import BEGAN
from tests.starters.support import SERVICE


def test_sentry() -> None:
    alert = one("sentry", senders.BY_NAME["sentry"].fires())
    assert (alert.name, alert.labels["severity"], alert.labels["project"]) == ("API down", "critical", "api")
    issue = one("sentry", senders.sentry(senders.sentry_event("11", BEGAN), senders.SECRET))
    assert (issue.name, issue.labels["level"], issue.labels["service"]) == ("API down for users", "fatal", SERVICE)
    resolved = {"action": "resolved", "data": {"issue": {"id": "11", "title": "ReferenceError"}}}
    end = one("sentry", senders.sentry(resolved, senders.SECRET))
    assert (end.fingerprint, end.of_whichever) == (issue.fingerprint, True)


def test_an_event_of_sentry_counts_from_when_sentry_got_it() -> None:
    """The clock of a browser may be hours off: then its event would be older than the end of the one before."""
    payload = senders.sentry_event("11", BEGAN)
    payload["data"]["event"]["datetime"] = (BEGAN - timedelta(hours=5)).isoformat()
    alert = one("sentry", senders.sentry(payload, senders.SECRET))
    assert alert.starts_at == BEGAN
    del payload["data"]["event"]["received"]
    assert one("sentry", senders.sentry(payload, senders.SECRET)).starts_at == BEGAN - timedelta(hours=5)
