"""`runbooks config check` and each start: one list of all faults; `routes check` and the webhook: one answer."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from starters.__main__ import application
from starters.cli import rules as asked
from starters.cli.people import Stop
from starters.steering import routes
from starters.steering.configuration import load
from tests.starters.support import HEADERS, PATH, alert, body, serving, settings_for
from tests.workflows.worlds.world import World
from workers.settings import SettingsError

SETTINGS = """\
[approvals]
second_person = ["switch"]
[services.tensafe-server]
namespace = "tensafe"
deployment = "tensafe-server"
selector = "app=tensafe"
health_url = "http://127.0.0.1/health"
[webhook]
bearer_tokens = ["t"]
"""
FINE = SETTINGS.replace("switch", "restore")
RULES = """\
[[route]]
match = { severity = "P1" }
procedure = "p1-incident"

[[route]]
match = { severity = "P2" }
procedure = "emergency-scale-up"
input = { lease = "half an hour" }

[[route]]
match = { severity = "P3" }
procedure = "emergency-scale-up"
input.lease = "PT9H"

[[route]]
match = { severity = "P4" }
procedure = "rollback"
service = "bling"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "runbooks.toml"))
    (tmp_path / "runbooks.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "routes.toml").write_text(RULES, encoding="utf-8")
    return tmp_path


EXPECTED = [
    "runbooks.toml:2: approvals.second_person.0: no question is called 'switch'",
    "routes.toml:8: route.1.input.lease: Input should be a valid timedelta",
    "routes.toml:13: route.2.input.lease: longer than tensafe-server allows, 4 h",
    "routes.toml:18: route.3.service: 'bling' is not in the catalogue. Known: tensafe-server",
]


def check(*arguments: str) -> tuple[int, str]:
    command = ["config", "check", "--files-only", *arguments]
    result = CliRunner().invoke(application(command), command)
    return result.exit_code, result.output


def test_every_fault_is_in_one_list_with_its_line(folder: Path) -> None:
    code, output = check()
    assert code == 2
    for number, line in enumerate(EXPECTED):
        assert line in output.splitlines()[number]
    (folder / "runbooks.toml").write_text(FINE, encoding="utf-8")
    assert check("--no-routes") == (0, f"{folder}/runbooks.toml: 1 service, 0 databases, fine\n")
    (folder / "routes.toml").write_text(RULES.split("\n\n", maxsplit=1)[0], encoding="utf-8")
    assert check() == (0, f"{folder}/runbooks.toml: 1 service, 0 databases, 1 rule, fine\n")


@pytest.mark.parametrize("module", ["starters.webhook", "workers"])
def test_no_process_starts_with_them(folder: Path, module: str) -> None:
    done = subprocess.run(  # our own modules
        [sys.executable, "-m", module],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 2
    told = done.stderr.splitlines()
    expected = EXPECTED if module == "starters.webhook" else EXPECTED[:1]
    assert len(told) == len(expected)
    for line, wanted in zip(told, expected, strict=True):
        assert wanted in line


def test_a_rule_whose_labels_bring_the_rest_is_fine(folder: Path) -> None:
    (folder / "runbooks.toml").write_text(FINE, encoding="utf-8")
    (folder / "routes.toml").write_text(
        '[[route]]\nmatch = { a = "b" }\nprocedure = "standard-deployment"\ninput_labels = { version = "tag" }\n',
        encoding="utf-8",
    )
    assert load(routed=True)[1] is not None
    (folder / "routes.toml").unlink()
    with pytest.raises(SettingsError, match="No such file"):
        load(routed=True)


MANY = """\
[[route]]
match = { severity = "P1" }
procedure = "p1-incident"
[[route]]
match_re = { alertname = "Slow|Down", severity = "P2|" }
procedure = "rollback"
service_label = "app"
[[route]]
match = { team = "" , severity = "warning" }
procedure = "manual-scale-up"
service = "tensafe-server"
"""
labels = st.fixed_dictionaries(
    {"alertname": st.sampled_from(["Slow", "Down", "Other", "Odd\x00"])},
    optional={
        "severity": st.sampled_from(["P1", "P2", "warning", ""]),
        "impact": st.sampled_from(["down", "data_loss", "degraded", "none", "odd"]),
        "error_rate": st.sampled_from(["0.5", "0.01", "odd"]),
        "latency": st.sampled_from(["9", "0.1", "odd"]),
        "team": st.sampled_from(["", "x"]),
        "service": st.sampled_from(["tensafe-server", "billing", "blackbox-exporter"]),
        "app": st.sampled_from(["tensafe-server", "billing"]),
        "job": st.sampled_from(["tensafe-server", "billing"]),
        "instance": st.sampled_from(["http://127.0.0.1:1/health", "node-1"]),
        "namespace": st.sampled_from(["tensafe", "other"]),
        "deployment": st.sampled_from(["tensafe-server", "billing"]),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels)
def test_routes_check_says_what_the_webhook_does(tmp_path: Path, given_labels: dict[str, str]) -> None:
    world = World()
    configured = settings_for("127.0.0.1:1", "q", tmp_path, world)
    other = world.service.model_copy(update={"deployment": "billing", "health_url": "http://b/"})
    configured = configured.model_copy(update={"services": {**configured.services, "billing": other}})
    (tmp_path / "routes.toml").write_text(MANY, encoding="utf-8")

    async def post() -> httpx.Response:
        # Nothing listens there, so what would start something is `unavailable`.
        async with serving(configured) as http:
            one = {**alert("f01"), "labels": given_labels}
            content = json.dumps(body(one))
            return await http.post(PATH, content=content, headers={**HEADERS, "Content-Type": "application/json"})

    (taken,) = asyncio.run(post()).json()["alerts"]
    file = tmp_path / "routes.toml"
    rules = routes.load(file, configured.services)
    given_pairs = [f"{name}={value}" for name, value in given_labels.items()]
    try:
        asked._explain(asked._labels(given_pairs), rules, configured.services)
    except Stop:
        assert taken["outcome"] == "unrouted"
    else:
        rule = rules.find(given_labels)
        assert rule is not None
        service = rule.service_of(given_labels, configured.services)
        assert taken["outcome"] == "unavailable"
        assert taken["workflow_id"].startswith(f"{rule.target.command}/{service}")


def test_an_alert_without_severity_is_classified_by_both(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(MANY, encoding="utf-8")
    rules = routes.load(tmp_path / "routes.toml", ["tensafe-server"])
    found = rules.find({"alertname": "Slow", "impact": "down"})
    assert found is rules.route[0]
