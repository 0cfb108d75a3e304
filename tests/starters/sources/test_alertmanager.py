"""Alertmanager's alerts: none is lost over an end that can't be read."""

import json
from typing import Any

import pytest

from activities.records.alerts import Alert
from starters.sources import alertmanager
from tests.starters.sources import senders
from tests.starters.sources.reading import LATER, said
from tests.starters.sources.senders import BEGAN


@pytest.mark.parametrize("end", ["", None, "soon", 5, [], "0001-01-01T00:00:00Z", "99999-01-01T00:00:00Z"])
def test_an_end_that_can_not_be_read_loses_no_alert(end: Any) -> None:
    payload = senders.grafana_payload("api", BEGAN, ended=LATER)
    payload["alerts"][0]["endsAt"] = end
    (of_grafana,) = said("grafana", senders.grafana(payload, senders.SECRET))
    (of_alertmanager,) = alertmanager.read(json.dumps({**payload, "version": "4"}).encode()).items
    for item in (of_grafana, of_alertmanager):
        assert isinstance(item, Alert), item
        assert (item.status, item.starts_at) == ("resolved", BEGAN)
