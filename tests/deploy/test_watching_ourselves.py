"""Prometheus and Alertmanager with the compose file's own settings, on what our processes expose; Grafana's files."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from temporalio.client import Client

from sandbox import binaries
from sandbox.ports import free_port
from sandbox.probes import wait_until
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import TemporalOnPostgres
from tests.deploy import docker_compose
from tests.deploy.docker_compose import EVERY_PROFILE, ROOT
from tests.deploy.processes import Places, Running
from workers.converter import DATA_CONVERTER

# The first of these tests may have to build `docker compose`.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/runbooks.json"
OWN_DASHBOARD = ROOT / "deploy/grafana/runbooks-own.json"
ON_ITS_OWN = {
    "schedule_missed_catchup_window",
    "temporal_workflow_task_execution_failed",
    "runbooks_worker_missing",
    "runbooks_version_missing",
    "temporal_activity_execution_failed",
}
"""Figures that are not there before something has gone wrong."""
OF_A_SWEEP = {"runbooks_holds", "runbooks_sweep_age_seconds"}
"""A sweep comes to its end where there is a cluster: tests/starters/cli/audit/test_own_state.py."""

_SERIES = re.compile(r"\b(?:runbooks|temporal|schedule)_[a-z_]+")


@dataclass(frozen=True)
class Watched:
    """All of the profile `monitoring` but Grafana, and what it watches."""

    prometheus: str
    alertmanager: str
    webhook: str
    audit: str
    worker: str
    running: dict[str, Running]

    def asked(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=120)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["result"])

    def up(self) -> dict[str, str]:
        return {one["metric"]["job"]: one["value"][1] for one in self.asked("up")}


@pytest.fixture(scope="module")
def places(
    secrets: Path,
    records_db: None,
    own_temporal: Temporal | TemporalOnPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    compose = docker_compose.resolve(secrets, **EVERY_PROFILE)
    found = Places(
        compose=compose,
        directory=tmp_path_factory.mktemp("machine"),
        elsewhere={"temporal:7233": own_temporal.address},
    )
    migrated = found.service("records-migrate", {}).job()
    assert migrated.returncode == 0, migrated.stderr
    # There is no name server of compose: each name's addresses are said.
    _without_dns(Path(compose["configs"]["prometheus"]["file"]), found.directory / "prometheus-static.yml")
    compose["configs"]["prometheus"]["file"] = str(found.directory / "prometheus-static.yml")
    return found


def _without_dns(file: Path, copy: Path) -> None:
    config = yaml.safe_load(file.read_text())
    for job in config["scrape_configs"]:
        for found in job.pop("dns_sd_configs", []):
            assert found["type"] == "A"
            job["static_configs"] = [{"targets": [f"{found['names'][0]}:{found['port']}"]}]
    copy.write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def watched(
    places: Places, own_temporal: Temporal | TemporalOnPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("prometheus", "alertmanager", "webhook", "audit", "worker")}
    programs = {f"/bin/{name}": str(binaries.find(name)) for name in ("prometheus", "alertmanager")}
    services = [
        places.service("worker", {"0.0.0.0:9464": ports["worker"], "127.0.0.1:9464": ports["worker"]}),
        places.service(
            "webhook",
            {"127.0.0.1:8080": ports["webhook"]},
            RUNBOOKS_WEBHOOK__PORT=ports["webhook"].partition(":")[2],
            RUNBOOKS_WEBHOOK__HOST="127.0.0.1",
        ),
        places.service("audit-metrics", {"9465": ports["audit"].partition(":")[2], "0.0.0.0": "127.0.0.1"}),
        places.service(
            "alertmanager",
            {
                **programs,
                "0.0.0.0:9093": ports["alertmanager"],
                "127.0.0.1:9093": ports["alertmanager"],
                "webhook:8080": ports["webhook"],
            },
            inside=["alertmanager"],
        ),
        places.service(
            "prometheus",
            {
                **programs,
                "0.0.0.0:9090": ports["prometheus"],
                "127.0.0.1:9090": ports["prometheus"],
                "temporal:9090": f"127.0.0.1:{own_temporal.metrics_port}",
                "alertmanager:9093": ports["alertmanager"],
                "audit-metrics:9465": ports["audit"],
                "webhook:8080": ports["webhook"],
                "worker:9464": ports["worker"],
                # As often as a test has patience for; in the file it is a quarter of a minute, and a whole one.
                "scrape_interval: 15s": "scrape_interval: 1s",
                "scrape_interval: 1m": "scrape_interval: 1s",
                "evaluation_interval: 15s": "evaluation_interval: 1s",
            },
            inside=["prometheus"],
        ),
    ]
    with ExitStack() as stack:
        running = {service.name: stack.enter_context(service.running()) for service in services}
        for one in running.values():
            one.wait_healthy()
        yield Watched(**{name: f"http://{address}" for name, address in ports.items()}, running=running)


def test_all_of_it_is_scraped(watched: Watched) -> None:
    everything = {"worker", "webhook", "audit", "temporal", "prometheus"}
    wait_until(lambda: watched.up() == dict.fromkeys(everything, "1"))


def test_prometheus_has_all_rules_and_knows_alertmanager(watched: Watched) -> None:
    groups = httpx.get(f"{watched.prometheus}/api/v1/rules").json()["data"]["groups"]
    known = {rule["name"] for group in groups for rule in group["rules"]}
    assert known == {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    wait_until(lambda: all(rule["health"] == "ok" for rule in _rules(watched)))
    there = httpx.get(f"{watched.prometheus}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
    assert [one["url"] for one in there] == [f"{watched.alertmanager}/api/v2/alerts"]


def _rules(watched: Watched) -> list[dict[str, Any]]:
    groups = httpx.get(f"{watched.prometheus}/api/v1/rules").json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def test_rules_and_dashboard_ask_for_figures_that_our_processes_expose(
    watched: Watched, own_temporal: Temporal | TemporalOnPostgres
) -> None:
    client = await Client.connect(own_temporal.address, data_converter=DATA_CONVERTER)
    await client.start_workflow("HourlyHealthPulse", {"service": "tensafe-server"}, id="a-pulse", task_queue="runbooks")
    for name in ("LookForWorkers", "ArchiveRuns"):  # as their schedules do
        await client.start_workflow(name, {}, id=f"a-{name}", task_queue="runbooks")
    await asyncio.to_thread(_all_are_exposed, watched)


async def test_every_query_of_the_dashboard_on_ourselves_finds_numbers_of_our_processes(
    watched: Watched, own_temporal: Temporal | TemporalOnPostgres
) -> None:
    """Grafana is under a licence that keeps it from being built here: Prometheus is asked what its panels ask."""
    client = await Client.connect(own_temporal.address, data_converter=DATA_CONVERTER)
    panels = json.loads(OWN_DASHBOARD.read_text())["panels"]
    # What has to go wrong first is asked all the same, so that Prometheus says whether it understands it.
    asked = {target["expr"]: panel["title"] for panel in panels for target in panel["targets"]}
    empty = {expression for expression in asked if expression.endswith("> 0") or expression in OF_A_SWEEP}
    assert len(asked) > 15

    async def once() -> set[str]:
        # Rates are of what happens while Prometheus looks.
        await client.execute_workflow("LookForWorkers", {}, id="a-look-again", task_queue="runbooks")
        nothing = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": []}
        await asyncio.to_thread(httpx.post, f"{watched.webhook}/webhooks/alertmanager", json=nothing)
        found = {one: await asyncio.to_thread(watched.asked, one) for one in asked}
        return {one for one, numbers in found.items() if not numbers or numbers[0]["value"][1] == "NaN"}

    async with asyncio.timeout(280):
        while await once() - empty:
            await asyncio.sleep(1)


def test_a_server_on_which_services_do_not_take_turns_is_noticed(
    watched: Watched, own_temporal: Temporal | TemporalOnPostgres
) -> None:
    """Tests' development server is one; that of production is none, and says so by what it counts."""
    # What nobody asks for at once is written down, and only then counted.
    asyncio.run(_begun_for_nobody(own_temporal.address))
    if isinstance(own_temporal, TemporalOnPostgres):
        wait_until(lambda: bool(watched.asked('sum(fair_task_write_latency_count{job="temporal"}) > 0')))
        assert _fires(watched, "ServicesDoNotTakeTurns", "inactive")()
    else:
        wait_until(_fires(watched, "ServicesDoNotTakeTurns", "pending"))


async def _begun_for_nobody(address: str) -> None:
    client = await Client.connect(address)
    await client.start_workflow(
        "Nothing", id="nobody-takes-it", task_queue="nobody-asks", execution_timeout=timedelta(minutes=5)
    )


def _all_are_exposed(watched: Watched) -> None:
    nothing = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": []}
    httpx.post(f"{watched.webhook}/webhooks/alertmanager", json=nothing)
    asked = {name for rule in _rules(watched) for name in _SERIES.findall(rule["query"])}
    panels = [panel for file in (DASHBOARD, OWN_DASHBOARD) for panel in json.loads(file.read_text())["panels"]]
    shown = {
        name for panel in panels for target in panel.get("targets", []) for name in _SERIES.findall(target["expr"])
    }
    assert asked | shown > ON_ITS_OWN
    assert len(shown) > 10

    def missing() -> set[str]:
        names = httpx.get(f"{watched.prometheus}/api/v1/label/__name__/values").json()["data"]
        described = {
            line.split()[2]
            for url in (watched.audit, watched.webhook, watched.worker)
            for line in httpx.get(f"{url}/metrics", timeout=120).text.splitlines()
            if line.startswith("# TYPE")
        }
        return (asked | shown) - ON_ITS_OWN - OF_A_SWEEP - set(names) - described

    try:
        wait_until(lambda: not missing())
    except TimeoutError:
        raise AssertionError(f"exposed by nobody: {missing()}") from None


def _fires(watched: Watched, name: str, state: str) -> Callable[[], bool]:
    return lambda: [one["state"] for one in _rules(watched) if one["name"] == name] == [state]


def test_an_alert_of_a_service_comes_to_the_webhook_with_its_token(watched: Watched) -> None:
    labels = {"alertname": "TensafeServerDown", "service": "tensafe-server", "severity": "P1"}
    answer = httpx.post(f"{watched.alertmanager}/api/v2/alerts", json=[{"labels": labels, "annotations": {}}])
    assert answer.status_code == 200, answer.text

    def taken() -> bool:
        return 'runbooks_webhook_requests_total{status="202"}' in httpx.get(f"{watched.webhook}/metrics").text

    wait_until(taken)


def test_what_is_wrong_with_ourselves_goes_to_people_and_not_by_the_webhook(watched: Watched) -> None:
    """The last test of this file: what it ends stays ended."""
    webhook = watched.running["webhook"]
    webhook.stop()
    wait_until(_fires(watched, "WebhookDown", "pending"))
    labels = {"alertname": "WebhookDown", "severity": "P1", "job": "webhook"}
    httpx.post(f"{watched.alertmanager}/api/v2/alerts", json=[{"labels": labels, "annotations": {}}])

    def receivers() -> list[str]:
        alerts = httpx.get(f"{watched.alertmanager}/api/v2/alerts").json()
        return [
            receiver["name"]
            for alert in alerts
            if alert["labels"]["alertname"] == "WebhookDown"
            for receiver in alert["receivers"]
        ]

    wait_until(lambda: receivers() == ["people"])
    watched.running["worker"].stop()
    wait_until(_fires(watched, "NobodyTakesRuns", "pending"))
    for name in ("prometheus", "alertmanager", "audit-metrics"):
        watched.running[name].stop()


def test_no_rule_of_ours_is_taken_for_a_services() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert "service" not in rule["labels"], rule["alert"]
            # What is left of the labels is what is named; a scraped one could be called so.
            left = set(re.findall(r"by \(([^)]*)\)", rule["expr"]))
            assert not any("service" in one.split(", ") for one in left), rule["alert"]
            assert set(rule["annotations"]) >= {"summary"}


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    """Grafana is under the AGPL and is not built here: what it reads is held against one another."""
    compose = yaml.safe_load((ROOT / "docker-compose.temporal.yml").read_text())
    grafana = compose["services"]["grafana"]
    mounted = {one["target"]: ROOT / compose["configs"][one["source"]]["file"] for one in grafana["configs"]}
    (source,) = yaml.safe_load(mounted["/etc/grafana/provisioning/datasources/runbooks.yml"].read_text())["datasources"]
    (folder,) = yaml.safe_load(mounted["/etc/grafana/provisioning/dashboards/runbooks.yml"].read_text())["providers"]
    files = [file for target, file in mounted.items() if target.startswith(folder["options"]["path"] + "/")]
    assert set(files) == {DASHBOARD, OWN_DASHBOARD} == set((ROOT / "deploy/grafana").glob("*.json"))

    assert source["url"] == "http://prometheus:9090"
    assert set(grafana["networks"]) & set(compose["services"]["prometheus"]["networks"]) == {"monitoring"}
    assert folder["options"]["path"] == "/etc/grafana/dashboards"
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
    dashboards = [json.loads(file.read_text()) for file in files]
    assert len({one["uid"] for one in dashboards}) == len({one["title"] for one in dashboards}) == len(files)
    for dashboard in dashboards:  # each takes whatever source of this type is the default
        (chosen,) = [one for one in dashboard["templating"]["list"] if one["name"] == "datasource"]
        assert (chosen["query"], source["isDefault"]) == (source["type"], True)
