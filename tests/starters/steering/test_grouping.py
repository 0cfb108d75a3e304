"""Which run an alert belongs to is in its workflow ID: one of a service, or as its settings group them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.catalogue.service import Grouping
from activities.records.alerts import Alert
from starters.steering.grouping import of_alert
from starters.steering.routes import Route

P1 = Route(procedure="p1-incident", match={"severity": "P1"})
AGED = datetime(2026, 2, 4, 3, tzinfo=UTC)


def alert(fingerprint: str = "f0", **fields: Any) -> Alert:
    return Alert(source="alertmanager", fingerprint=fingerprint, name="Down", starts_at=AGED, **fields)


def test_all_alerts_of_a_service_are_one_run_unless_settings_say_otherwise() -> None:
    same = {of_alert(P1, "web", alert(f"f{number}", group_key=f"g{number}"), "service") for number in range(3)}
    assert same == {"p1-incident/web"}
    assert of_alert(P1, "api", alert(), "service") == "p1-incident/api"


@pytest.mark.parametrize(("by", "runs"), [("alert", 3), ("group", 2), ("service", 1)])
def test_they_are_as_many_runs_as_settings_make_of_them(by: Grouping, runs: int) -> None:
    alerts = [alert("f0", group_key="g0"), alert("f1", group_key="g0"), alert("f2", group_key="g1")]
    assert len({of_alert(P1, "web", one, by) for one in alerts}) == runs


def test_without_a_group_it_is_its_services() -> None:
    assert of_alert(P1, "web", alert(), "group") == of_alert(P1, "web", alert(), "service")


def test_what_a_rule_takes_from_labels_is_another_run() -> None:
    route = Route(procedure="manual-scale-up", match={"severity": "P2"}, input_labels={"target": "wanted"})
    two, four = {"wanted": "+2"}, {"wanted": "+4"}
    told = [of_alert(route, "web", alert(labels=labels), "service") for labels in (two, two, four, dict[str, str]())]
    assert told[0] == told[1]
    assert len(set(told)) == 3
    assert all(one.startswith("manual-scale-up/web/") for one in told)
