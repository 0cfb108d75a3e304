"""Routing rules: which alert starts what, and how a wrong file is told."""

from pathlib import Path

import pytest

from starters.webhook import routes
from tests.starters.support import RULES
from workers.settings import SettingsError

SERVICES = ["tensafe-server", "billing"]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incidnet"', "Known: p1-incident"),
        ('[[route]]\nprocedure = "p1-incident"', "match or match_re: one is required"),
        ('[[route]]\nmatch_re = { a = "(" }\nprocedure = "p1-incident"', "match_re.a"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incident"\nseverity = "P9"', "route.0.severity"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incident"\nservice = "bling"', "billing"),
        ('[[rout]]\nprocedure = "p1-incident"', "rout: Extra inputs"),
        ("", "route: Field required"),
        ("[[route]", "routes.toml"),
    ],
)
def test_wrong_rules_name_the_field(tmp_path: Path, rules: str, says: str) -> None:
    (tmp_path / "routes.toml").write_text(rules, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        routes.load(tmp_path / "routes.toml", SERVICES)
    assert says in str(error.value)
    assert "routes.toml" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        routes.load(tmp_path / "routes.toml", SERVICES)


def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { team = "x" }\nmatch_re = { alertname = "Down|Slow" }\nprocedure = "P1Incident"\n'
        'service = "billing"\n' + RULES,
        encoding="utf-8",
    )
    rules = routes.load(tmp_path / "routes.toml", SERVICES)
    first = rules.find({"team": "x", "alertname": "Slow", "severity": "P1"})
    assert first is not None
    assert first.service_of({"service": "tensafe-server"}, SERVICES) == "billing"
    second = rules.find({"team": "x", "alertname": "Slower", "severity": "P1"})
    assert second is not None
    assert second is not first
    assert second.service_of({"service": "tensafe-server"}, SERVICES) == "tensafe-server"
    assert rules.find({"severity": "P2"}) is None
    assert rules.find({}) is None


def test_without_a_label_the_only_service_is_meant(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(RULES, encoding="utf-8")
    rule = routes.load(tmp_path / "routes.toml", SERVICES).route[0]
    assert rule.service_of({}, ["tensafe-server"]) == "tensafe-server"
    assert rule.service_of({}, SERVICES) is None
    assert rule.service_of({"service": "typo"}, ["tensafe-server"]) is None
