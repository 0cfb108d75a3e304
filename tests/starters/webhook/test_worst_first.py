"""Of more than can be taken the worst is kept, and what a rule takes before what none does."""

import json

from hypothesis import given, settings
from hypothesis import strategies as some

from starters.http.problems import Problem
from starters.steering.routes import Routes
from starters.webhook.storm import _Storm
from starters.webhook.worst_first import rank, worst_first
from tests.starters.webhook.posts import alert, body, pieces


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.sampled_from(["P1", "critical", "P2", "warning", "P3", "info", ""]), min_size=1, max_size=60),
    some.integers(500, 20_000),
    some.integers(1, 5_000),
)
def test_what_is_kept_is_the_worst_that_fits(severities: list[str], limit: int, piece: int) -> None:
    alerts = [alert(f"A{number}", severity) for number, severity in enumerate(severities)]
    storm = _Storm(limit, rank)
    try:
        for part in pieces(body(alerts), piece):
            storm.feed(part)
            assert storm._size <= limit
        group, told, left = storm.group()
    except Problem:
        assert len(json.dumps(alerts[0])) > limit or limit < 600
        return
    kept = [one["labels"]["alertname"] for one in group.alerts]
    assert kept == sorted(kept, key=lambda name: int(name[1:])), "in the order in which they came"
    assert left == len(alerts) - len(kept)
    assert sum(len(json.dumps(one)) for one in group.alerts) <= limit
    gone = [one for one in alerts if one["labels"]["alertname"] not in kept]
    assert all(rank(one) >= max(map(rank, group.alerts)) for one in gone)
    assert (f"{left} of {len(alerts)}" in told) == bool(left)


def test_what_a_rule_takes_is_kept_before_what_none_does() -> None:
    rules = Routes.model_validate(
        {
            "route": [
                {"procedure": "p1-incident", "match": {"alertname": "Down"}},
                {"procedure": "rollback", "match": {"alertname": "Slow"}, "severity": "P2"},
                {"procedure": "p2-incident", "match": {"severity": "warning", "team": "ours"}},
                {"procedure": "p1-incident", "match": {"severity": "P1", "team": "ours"}},
            ]
        }
    )
    down = alert("Down")
    del down["labels"]["severity"]
    alerts = [
        alert("Theirs", "P1"),
        alert("Disk", team="ours"),
        alert("Slow", "info"),
        down,
        alert("Gone", "info", team="ours"),
        {"labels": None},
        alert("Any", ""),
    ]
    named = [alerts[place].get("labels") for place in worst_first(alerts, lambda one: rank(one, rules))]
    assert [one and one["alertname"] for one in named] == ["Down", "Disk", "Slow", "Theirs", "Gone", None, "Any"]


def test_one_giant_does_not_push_the_others_out() -> None:
    storm = _Storm(2_000_000, rank)
    giant = alert("Giant", "P1", text="x" * 1_500_000)
    for part in pieces(body([alert("Down", "P2"), giant, alert("Disk")]), 10_000):
        storm.feed(part)
    group, _, left = storm.group()
    assert [one["labels"]["alertname"] for one in group.alerts] == ["Down", "Disk"]
    assert left == 1


def test_the_worst_is_taken_first_whatever_the_order() -> None:
    said = ["warning", None, "P1", "none", "critical", 7, "P2"]
    alerts = [{"labels": {} if severity is None else {"severity": severity}} for severity in said]
    over = {"status": "resolved", "labels": {"severity": "P1"}}
    assert worst_first([*alerts, over, "no alert", {"labels": 3}], rank) == [2, 7, 4, 6, 0, 1, 3, 5, 8, 9]
