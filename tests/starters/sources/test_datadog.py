"""Datadog's webhooks as alerts."""

import json

from starters.sources.datadog import TEMPLATE
from tests.starters.sources import senders
from tests.starters.sources.reading import LATER, one
from tests.starters.sources.senders import BEGAN
from tests.starters.support import SERVICE


def test_datadog() -> None:
    sender = senders.BY_NAME["datadog"]
    alert = one("datadog", sender.fires())
    assert alert.labels == {
        "alertname": "API down",
        "service": SERVICE,
        "env": "prod",
        "severity": "P1",
        "monitor": "1234",
        "scope": "host:api",
    }
    again = one("datadog", sender.fires(transition="Re-Triggered", occurred=LATER))
    renotified = one("datadog", sender.fires(transition="Renotify", occurred=LATER))
    assert alert.episode == again.episode == renotified.episode
    # Monitors of events have no cycle, and Datadog leaves a variable that it doesn't know.
    for cycle in ("", "$ALERT_CYCLE_KEY"):
        assert one("datadog", sender.fires(cycle=cycle)).key == ""
    assert set(json.loads(TEMPLATE)) == set(senders.datadog_payload("api", BEGAN, ended=None))
