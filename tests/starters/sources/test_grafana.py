"""Grafana: the good of a group is kept, and what was cut off is told."""

from activities.records.alerts import Alert
from starters.steering.mapping import Flaw
from tests.starters.sources import senders
from tests.starters.sources.reading import one, said
from tests.starters.sources.senders import BEGAN
from tests.starters.support import SERVICE


def test_grafana() -> None:
    alert = one("grafana", senders.BY_NAME["grafana"].fires())
    assert alert.name == "API down"
    assert alert.generator_url == "https://grafana.tensafe.example/alerting/grafana/cdabc/view?orgId=1"
    assert alert.group_key == '{}:{alertname="API down"}'
    assert alert.annotations["values"] == "[ var='B' labels={} value=17.3 ]"
    assert alert.labels["service"] == SERVICE


def test_grafana_keeps_the_good_of_a_group_and_tells_what_was_cut_off() -> None:
    payload = senders.grafana_payload("api", BEGAN, ended=None)
    payload["alerts"] += [{"status": "firing"}, 7, {**payload["alerts"][0], "startsAt": "0001-01-01T00:00:00+14:00"}]
    payload["truncatedAlerts"] = 3
    items = said("grafana", senders.grafana(payload, senders.SECRET))
    assert [type(item) for item in items] == [Alert, Flaw, Flaw, Flaw, Flaw]
    assert next(item.detail for item in items if isinstance(item, Flaw)) == "fingerprint, startsAt: can't be read"
    assert "3 alerts were cut off" in items[-1].detail  # type: ignore[union-attr]
