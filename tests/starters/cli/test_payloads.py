"""`runbooks routes test`: what a payload would start is said by what the webhook asks, before anybody sends it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner, Result

from starters.__main__ import application
from tests.starters.sources import senders
from tests.starters.sources.senders import BEGAN, SENDERS, Sender, settings_of
from tests.starters.support import RUN, SERVICE, alert, body, settings_file
from tests.workflows.worlds.world import World

Runbooks = Callable[..., Result]
each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = settings_file(tmp_path, "127.0.0.1:1", "q", World(), webhook={"sources": settings_of()})
    (tmp_path / "routes.toml").write_text(senders.RULES, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
    monkeypatch.setenv("COLUMNS", "200")
    return file


@pytest.fixture
def runbooks(config: Path) -> Runbooks:
    del config

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(application(arguments), list(arguments), input=stdin)

    return call


def written(folder: Path, content: bytes) -> str:
    file = folder / "payload.json"
    file.write_bytes(content)
    return str(file)


@each
def test_it_says_which_run_a_payload_would_start_and_by_which_rule(
    runbooks: Runbooks, tmp_path: Path, sender: Sender
) -> None:
    said = runbooks("routes", "test", written(tmp_path, sender.fires().content), "--source", sender.name)
    assert said.exit_code == 0, said.output
    rule = 1 if sender.name in {"sns", "sentry"} else 0
    assert f"rule {rule} takes it: p1-incident for {SERVICE}" in said.stdout
    assert f"→ starts, or joins the run {RUN}" in said.stdout
    ended = runbooks("routes", "test", written(tmp_path, sender.ends().content), "--source", sender.name)
    assert (ended.exit_code, "→ tells the run" in ended.stdout) == (0, True)


@each
def test_it_says_why_a_payload_would_start_nothing(runbooks: Runbooks, tmp_path: Path, sender: Sender) -> None:
    quiet = runbooks("routes", "test", written(tmp_path, sender.fires(severity="P4").content), "--source", sender.name)
    assert quiet.exit_code == 1
    assert "starts nothing: " in quiet.stdout
    for payload in sender.ignored:
        content = sender.sign(payload, sender.secret).content
        ignored = runbooks("routes", "test", written(tmp_path, content), "--source", sender.name)
        assert (ignored.exit_code, "neither fires nor ends: " in ignored.stdout) == (1, True), ignored.output
    broken = runbooks("routes", "test", "-", "--source", sender.name, stdin="{")
    assert (broken.exit_code, "not JSON" in broken.stderr or "not a" in broken.stderr) == (1, True), broken.output


def test_alertmanager_is_a_source_as_well(runbooks: Runbooks, tmp_path: Path) -> None:
    group = body(alert("f00"), alert("f01", severity="P4"), {"status": "firing"}, alert("f02", status="resolved"))
    said = runbooks("routes", "test", written(tmp_path, json.dumps(group).encode()), "--source", "alertmanager")
    assert said.exit_code == 0, said.output
    assert "0: TensafeServerDown fires, since 2026-02-04 03:00:00 UTC, fingerprint f00" in said.stdout
    assert "starts nothing: no routing rule" in said.stdout
    assert "2: can't be taken: " in said.stdout
    assert f"→ tells the run {RUN}" in said.stdout
    wrong = runbooks("routes", "test", "-", "--source", "alertmanager", stdin='{"version": "3"}')
    assert (wrong.exit_code, "version 4" in wrong.stderr) == (1, True)


def test_a_binary_event_has_its_headers(runbooks: Runbooks, tmp_path: Path) -> None:
    message = senders.event(senders.event_payload("api", BEGAN, ended=None), "x", binary=True)
    headers = [f"{name}:{value}" for name, value in message.headers.items() if name.startswith("ce-")]
    given = [one for header in headers for one in ("--header", header)]
    said = runbooks("routes", "test", written(tmp_path, message.content), "--source", "events", *given)
    assert said.exit_code == 0, said.output


def test_what_is_typed_wrong_is_said(runbooks: Runbooks, tmp_path: Path) -> None:
    file = written(tmp_path, b"{}")
    unknown = runbooks("routes", "test", file, "--source", "nagios")
    assert (unknown.exit_code, "Known: alertmanager, grafana, pagerduty" in unknown.stderr) == (2, True)
    assert runbooks("routes", "test", str(tmp_path / "none"), "--source", "grafana").exit_code == 2
    assert runbooks("routes", "test", file, "--source", "grafana", "--header", "x").exit_code == 2


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"standard": {"name": "$.a["}}, "mapping.standard.name: not a JSON path (RFC 9535)"),
        ({"standard": {"name": "x", "labels": {"a": "$..["}}}, "mapping.standard.labels.a: not a JSON path"),
        ({"standard": {"name": "x", "status": "$.s"}}, "status and firing: both or neither"),
        ({"standard": {"name": "x", "status": "$.s", "firing": ["Up"], "resolved": ["up"]}}, "up can't be both"),
        ({"standard": {"name": "x", "each": "alerts"}}, "mapping.standard.each: a JSON path begins with $"),
        ({"standard": {"name": "x", "sevrity": "P1"}}, "mapping.standard.sevrity: there is no such field"),
        ({"standard": {"name": "x"}, "nagios": {"name": "x"}}, "mapping.nagios: no source is called so"),
        ({"standard": {"name": "x"}, "pagerduty": {"name": "x"}}, "pagerduty sends one shape"),
        ({}, "[mapping.standard] has to say where everything is"),
    ],
)
def test_a_mapping_that_can_not_work_is_found_before_anything_is_sent(
    runbooks: Runbooks, config: Path, mapping: dict[str, Any], says: str
) -> None:
    rules: dict[str, Any] = {
        "route": [{"match": {"severity": "P1"}, "procedure": "p1-incident"}],
        "mapping": {**mapping},
    }
    if mapping:
        rules["mapping"].setdefault("events", {"name": "$.subject"})
    (config.parent / "routes.toml").write_text(tomli_w.dumps(rules), encoding="utf-8")
    for command in (("config", "check"), ("routes", "check")):
        checked = runbooks(*command)
        assert checked.exit_code == 2
        assert says in checked.stderr.replace("\n", " "), checked.stderr


def test_the_settings_of_a_source_are_checked_with_the_others(runbooks: Runbooks, config: Path) -> None:
    text = config.read_text(encoding="utf-8").replace('kind = "grafana"', 'kind = "graphana"')
    config.write_text(text, encoding="utf-8")
    checked = runbooks("config", "check")
    assert (checked.exit_code, "webhook.sources.grafana" in checked.stderr) == (2, True)
    assert "hunter2" not in json.dumps(checked.stderr)
