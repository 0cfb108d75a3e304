"""The report's numbers at Prometheus, and a dashboard whose every query finds them there."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from audit.metrics import ReportCollector
from audit.report import Report
from audit.story import Question, Step, Timer, Word
from tests.audit.reports import S, deadline, incident, report
from tests.audit.stories import BEGAN
from tests.plugins.patience import HANGS

FOLDER = Path(__file__).parents[2] / "deploy/grafana"
DASHBOARD = json.loads((FOLDER / "runbooks.json").read_text(encoding="utf-8"))
FOREVER = timedelta(days=1)


def month() -> Report:
    """A month in which there is something of everything."""
    began = BEGAN + timedelta(hours=1)
    asked = {"title": "?", "options": {}, "asked_at": began}
    lease = {"kind": "lease", "name": "the pause", "due_at": began + 9 * S}
    return report(
        incident(
            1,
            acknowledged=4,
            mitigated=60,
            words=[Word(event_id=1, at=began + 30 * S, update="decide", who="ada", standing="valid")],
            questions=[
                Question(id="a", by="ada (commander)", answered_at=began + 30 * S, **asked),
                Question(id="b", by="no answer", escalated_at=began + S, **asked),
            ],
            steps=[
                Step(
                    event_id=1,
                    section="",
                    title="",
                    activity="slack.post",
                    scheduled_at=began,
                    attempts=4,
                    outcome="failed",
                )
            ],
        ),
        incident(2, acknowledged=1000, mitigated=1200),
        incident(3, lasting=None),
        incident(4, acknowledged=6, dry_run=True),
        incident(5, severity="P2", acknowledged=8, mitigated=9).model_copy(
            update={
                "unreadable": 2,
                "timers": [
                    deadline("Acknowledged", began, canceled_at=began + S),
                    Timer(event_id=7, started_at=began, canceled_at=began + S, **lease),
                    Timer(event_id=8, started_at=began + S, fired_at=began + 9 * S, **lease),
                ],
            }
        ),
    )


def exposed(collector: ReportCollector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return read(generate_latest(registry).decode())


def read(text: str) -> dict[str, float]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_numbers_are_those_of_the_report() -> None:
    found = exposed(ReportCollector(month, lasting=FOREVER, patience=FOREVER))
    assert found["runbooks_audit_up"] == 1
    assert found['runbooks_incidents{severity="P1"}'] == 3
    assert found['runbooks_responses{result="missed",severity="P1"}'] == 2
    assert found['runbooks_incidents_automatic{severity="P1"}'] == 1
    assert found['runbooks_acknowledge_seconds{severity="P1",statistic="median"}'] == 502
    assert found['runbooks_resolve_seconds{severity="P2",statistic="max"}'] == 3600
    assert found['runbooks_response_target_seconds{severity="P1"}'] == 900
    assert found['runbooks_questions{result="unanswered"}'] == 1
    assert found['runbooks_answer_seconds{role="commander",statistic="p90"}'] == 30
    assert found['runbooks_system_retries{system="slack"}'] == 3
    assert found['runbooks_system_failed{system="slack"}'] == 1
    assert found['runbooks_leases{end="expired",lease="the pause"}'] == 1
    assert found['runbooks_lease_extensions{lease="the pause"}'] == 1
    assert found['runbooks_planned_runs{outcome="closed",procedure="P1Incident"}'] == 1
    assert found["runbooks_unreadable_runs"] == 1


def test_a_scrape_does_not_wait_for_a_count_that_takes_long() -> None:
    go_on = threading.Event()

    def slow() -> Report:
        assert go_on.wait(HANGS)
        return month()

    collector = ReportCollector(slow, lasting=FOREVER, patience=timedelta(milliseconds=50))
    began = time.monotonic()
    assert exposed(collector) == {"runbooks_audit_up": 0}
    assert time.monotonic() - began < HANGS / 2
    go_on.set()
    assert eventually(lambda: exposed(collector)["runbooks_audit_up"] == 1)


def test_the_month_is_counted_once_for_many_scrapes_and_again_when_it_is_old() -> None:
    counted: list[int] = []

    def counting() -> Report:
        counted.append(1)
        return month()

    fresh = ReportCollector(counting, lasting=FOREVER, patience=FOREVER)
    for _ in range(5):
        exposed(fresh)
    assert len(counted) == 1
    stale = ReportCollector(counting, lasting=timedelta(0), patience=FOREVER)
    for _ in range(3):
        exposed(stale)
    assert len(counted) == 4


def test_the_last_numbers_stay_while_counting_fails_and_the_next_success_is_up_again() -> None:
    fails: list[bool] = []

    def counting() -> Report:
        if fails:
            raise RuntimeError("no archive today")
        return month()

    collector = ReportCollector(counting, lasting=timedelta(0), patience=FOREVER)
    assert exposed(collector)["runbooks_audit_up"] == 1
    fails.append(True)
    found = exposed(collector)
    assert found["runbooks_audit_up"] == 0
    assert found['runbooks_incidents{severity="P1"}'] == 3
    fails.clear()
    assert exposed(collector)["runbooks_audit_up"] == 1


# -- the dashboard -------------------------------------------------------------------------------------


@pytest.fixture
def prometheus(start_prometheus: Callable[..., Any]) -> Iterator[str]:
    """A Prometheus that has scraped the numbers."""
    registry = CollectorRegistry()
    registry.register(ReportCollector(month, lasting=FOREVER, patience=FOREVER))
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    url = start_prometheus(targets={"runbooks": f"127.0.0.1:{server.server_port}"}).url
    assert eventually(lambda: asked(url, "runbooks_audit_up == 1"))
    yield url
    server.shutdown()
    server.server_close()
    thread.join(10)


def asked(url: str, query: str) -> list[Any]:
    answer = httpx.post(f"{url}/api/v1/query", data={"query": query}, timeout=10).json()
    assert answer["status"] == "success", (query, answer)
    result: list[Any] = answer["data"]["result"]
    return result


def filled_in(query: str) -> str:
    return query.replace("$severity", "P1|P2").replace("$statistic", "median|p90|max")


def test_every_query_of_the_dashboard_finds_numbers_at_a_real_prometheus(prometheus: str) -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(queries) >= 20
    assert [query for query in queries if not asked(prometheus, filled_in(query))] == []
    assert (
        asked(prometheus, filled_in('sum(runbooks_responses{severity=~"$severity",result="missed"})'))[0]["value"][1]
        == "2"
    )
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            values = httpx.get(f"{prometheus}/api/v1/label/{label}/values", params={"match[]": metric}).json()["data"]
            assert values == ["P1", "P2"]


def test_every_metric_is_on_the_dashboard() -> None:
    text = json.dumps(DASHBOARD)
    names = {name.partition("{")[0] for name in exposed(ReportCollector(month, lasting=FOREVER, patience=FOREVER))}
    assert {name for name in names if name not in text} == set()


@pytest.mark.parametrize("file", ["runbooks.json", "runbooks-own.json"])
def test_the_dashboard_is_one_that_grafana_takes(file: str) -> None:
    dashboard = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    assert dashboard["schemaVersion"] >= 36
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert {panel["type"] for panel in dashboard["panels"]} <= {"stat", "timeseries", "bargauge", "table"}
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        assert [target["refId"] for target in panel["targets"]] == ["A", "B"][: len(panel["targets"])]


def eventually(true: Callable[[], Any], within: float = HANGS) -> bool:
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
