"""The impact is read from the metrics before the incident and since."""

import json
from datetime import timedelta
from typing import Any

import pytest

from audit.postmortem import Material
from audit.postmortem_impact import read_metrics
from tests.audit.postmortems import written
from tests.audit.stories import BEGAN, story


def test_the_impact_is_read_from_the_metrics_before_and_since_the_incident() -> None:
    began = BEGAN

    def point(minutes: int, value: str) -> list[Any]:
        return [(began + timedelta(minutes=minutes)).timestamp(), value]

    document = {
        "queries": {
            "error_rate": {
                "query": "q",
                "series": [
                    {
                        "metric": {"code": "500"},
                        "values": [
                            point(-2, "0.01"),
                            point(-1, "0.03"),
                            point(0, "0.5"),
                            point(1, "0.9"),
                            point(2, "NaN"),
                            point(3, "0.1"),
                        ],
                    }
                ],
            },
            "latency": {"query": "q", "error": "bad_data: parse error"},
            "requests": {"query": "q", "series": []},
        }
    }
    first, second, third = read_metrics(json.dumps(document).encode(), began)
    assert (first.labels, first.before, first.lowest, first.highest, first.last) == ("code=500", 0.02, 0.1, 0.9, 0.1)
    assert first.highest_at == began + timedelta(minutes=1)
    assert "parse error" in second.trouble
    assert "no data" in third.trouble
    text = written(Material("i", [story(1)], metrics=[first, second, third]))["impact"]
    assert "| Error rate, code 500 | 2.00 % | 10.00 % at 03:03:00 UTC | 90.00 % at 03:01:00 UTC | 10.00 % |  |" in text
    with pytest.raises(ValueError, match="no export"):
        read_metrics(b"[]", began)
