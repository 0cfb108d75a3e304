"""A mapping reads whatever shape a payload has."""

import pytest

from activities.records.alerts import Alert
from starters.sources.port import Unreadable
from starters.steering.mapping import Ignored, PayloadMapping
from tests.starters.sources import senders
from tests.starters.sources.reading import said
from tests.starters.sources.senders import BEGAN


def test_a_template_of_grafana_has_any_shape_and_a_mapping_reads_it() -> None:
    source = senders.BY_NAME["grafana"]
    payload = {"what": [{"id": "a", "since": BEGAN.timestamp(), "s": "Alerting"}, {"id": "b", "s": "OK"}]}
    with pytest.raises(Unreadable, match="no mapping"):
        said("grafana", source.sign(payload, senders.SECRET))
    mapping = PayloadMapping.model_validate(
        {
            "each": "$.what[*]",
            "name": "$.id",
            "fingerprint": "$.id",
            "starts_at": "$.since",
            "status": "$.s",
            "firing": ["alerting"],
            "labels": {"severity": "P1"},
        }
    )
    first, second = mapping.alerts(payload, "grafana")
    assert isinstance(first, Alert)
    assert (first.name, first.starts_at, first.labels) == ("a", BEGAN, {"alertname": "a", "severity": "P1"})
    assert isinstance(second, Ignored)
