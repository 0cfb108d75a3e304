"""PagerDuty's webhooks as alerts."""

from tests.starters.sources import senders
from tests.starters.sources.reading import LATER, one
from tests.starters.sources.senders import BEGAN
from tests.starters.support import SERVICE


def test_pagerduty() -> None:
    alert = one("pagerduty", senders.BY_NAME["pagerduty"].fires())
    assert (alert.name, alert.labels["severity"], alert.labels["service"]) == ("API down", "P1", SERVICE)
    assert alert.group_key == "srv01/HTTP"
    opened_again = one("pagerduty", senders.BY_NAME["pagerduty"].fires(event="incident.reopened", occurred=LATER))
    assert (opened_again.fingerprint, opened_again.starts_at) == (alert.fingerprint, LATER)
    payload = senders.pagerduty_payload("api", BEGAN, ended=None)
    del payload["event"]["data"]["created_at"]
    assert one("pagerduty", senders.pagerduty(payload, senders.SECRET)).starts_at == BEGAN
