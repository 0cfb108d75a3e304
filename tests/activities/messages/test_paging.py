import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse
from temporalio.testing import ActivityEnvironment

from activities.common.errors import InvalidInput, RateLimited, Refused, Unavailable
from activities.common.http import wait_asked
from activities.messages.paging.pagerduty import PagerDutyPager
from activities.messages.paging.paging import AcknowledgePage, PageOnCall, Pager, Paging, ResolvePage
from activities.messages.paging.records import RecordsPager
from tests.activities.contracts.pagerduty import PagerDutyContract
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.records_schema.fixtures import count, effect

KEY = secrets.token_hex(16)


def page(step: str = "page", level: int = 1, **changed: Any) -> PageOnCall:
    plan = changed.pop("dry_run", False)
    return PageOnCall(
        incident_id="INC-1",
        service="tensafe-server",
        severity="P1",
        rotation="primary",
        level=level,
        summary="API down",
        link="http://127.0.0.1:8233/run",
        effect=effect(step, dry_run=plan),
    ).model_copy(update=changed)


def resolve(step: str = "resolve", levels: int = 2, *, dry_run: bool = False) -> ResolvePage:
    return ResolvePage(incident_id="INC-1", levels=levels, effect=effect(step, dry_run=dry_run))


def acknowledge(step: str = "ack", levels: int = 2, *, dry_run: bool = False) -> AcknowledgePage:
    return AcknowledgePage(incident_id="INC-1", by="ada", levels=levels, effect=effect(step, dry_run=dry_run))


# -- records --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pager(records_pool: ConnectionPool[Any]) -> RecordsPager:
    return RecordsPager(records_pool)


def rows(sql: psycopg.Connection[Any]) -> list[Any]:
    return sql.execute(
        "SELECT level, paged, email, acknowledged_by, acknowledged_at IS NOT NULL, resolved_at IS NOT NULL "
        "FROM runbooks.pages ORDER BY id"
    ).fetchall()


def test_the_person_on_duty_is_paged(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    records_sql.execute("INSERT INTO runbooks.on_call_rotations VALUES ('primary', 'team@tensafe.io')")
    records_sql.execute("INSERT INTO runbooks.on_call_contacts (name, email) VALUES ('ada', 'ada@tensafe.io')")
    records_sql.execute(
        "INSERT INTO runbooks.on_call_shifts (rotation, contact, during) "
        "VALUES ('primary', 'ada', tstzrange(now() - interval '1 h', now() + interval '1 h'))"
    )
    assert str(pager.page(page())) == "page/INC-1/L1: ada paged (primary, level 1)"
    assert str(pager.page(page("escalation", 2))) == "page/INC-1/L2: primary paged (primary, level 2)"
    assert rows(records_sql) == [
        (1, "ada", "ada@tensafe.io", "", False, False),
        (2, "primary", "team@tensafe.io", "", False, False),
    ]


def test_a_page_comes_to_its_rotation_where_nobody_is_entered(pager: RecordsPager) -> None:
    assert pager.page(page()).after == "primary paged (primary, level 1)"


def test_one_page_a_level(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    assert pager.page(page("one")).applied
    assert not pager.page(page("one")).applied
    other = pager.page(page("two"))
    assert (other.applied, other.note) == (False, "paged already")
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 1


def test_twenty_pages_at_once_are_one(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(lambda number: pager.page(page(f"page-{number % 4}")), range(20)))
    assert [change.applied for change in changes].count(True) == 1
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 1


def test_pages_are_acknowledged_and_resolved_once(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    pager.page(page("one"))
    pager.page(page("two", 2))
    assert str(pager.acknowledge(acknowledge())) == "page/INC-1: paged → acknowledged by ada (2 pages)"
    assert not pager.acknowledge(acknowledge("again")).applied
    assert pager.resolve(resolve()).applied
    assert not pager.resolve(resolve()).applied
    nothing = pager.resolve(resolve("again"))
    assert (nothing.applied, nothing.note) == (False, "no page open")
    assert [row[3:] for row in rows(records_sql)] == [("ada", True, True)] * 2
    assert pager.page(page("anew")).applied, "a resolved level can be paged again"


def test_a_planned_page_leaves_nothing(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    plan = pager.page(page(dry_run=True))
    assert (plan.applied, plan.after) == (False, "primary paged (primary, level 1)")
    assert str(pager.resolve(resolve(dry_run=True))) == "page/INC-1: paged → resolved"
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 0


# -- PagerDuty ------------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> PagerDutyContract:
    return PagerDutyContract(KEY)


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def base_url(service: PagerDutyContract, faults: Misbehaviour) -> Iterator[str]:
    with serving(service.app, faults) as url:
        yield url


@pytest.fixture
def pagerduty(base_url: str) -> Iterator[PagerDutyPager]:
    with httpx.Client() as http:
        yield PagerDutyPager(http, SecretStr(KEY), base_url)


def test_an_alert_lives_from_trigger_to_resolve(pagerduty: PagerDutyPager, service: PagerDutyContract) -> None:
    change = pagerduty.page(page())
    assert str(change) == "page/INC-1/L1: primary paged through PagerDuty, level 1"
    assert change.applied
    pagerduty.page(page("escalation", 2))
    assert service.alerts == {"INC-1/L1": "triggered", "INC-1/L2": "triggered"}
    pagerduty.acknowledge(acknowledge())
    assert set(service.alerts.values()) == {"acknowledged"}
    assert str(pagerduty.resolve(resolve())) == "page/INC-1: paged → resolved (levels 1 to 2)"
    assert set(service.alerts.values()) == {"resolved"}
    event = service.events[0]
    assert event["payload"]["severity"] == "critical"
    assert event["links"] == [{"href": "http://127.0.0.1:8233/run", "text": "The run"}]


def test_a_level_may_have_a_routing_key_of_its_own(base_url: str, service: PagerDutyContract) -> None:
    lead = secrets.token_hex(16)
    service.keys = {KEY, lead}
    with httpx.Client() as http:
        pager = PagerDutyPager(http, SecretStr(KEY), base_url, {2: SecretStr(lead)})
        for level in (1, 2, 3):
            pager.page(page("escalation", level))
        pager.resolve(resolve())
    assert [(event["dedup_key"][-2:], event["routing_key"]) for event in service.events] == [
        ("L1", KEY),
        ("L2", lead),
        ("L3", KEY),
        ("L1", KEY),
        ("L2", lead),
    ]


def test_a_page_sent_twice_is_one_alert(pagerduty: PagerDutyPager, service: PagerDutyContract) -> None:
    for _ in range(3):
        pagerduty.page(page())
    assert service.opened == ["INC-1/L1"]


def test_a_lost_answer_makes_no_second_alert(
    pagerduty: PagerDutyPager, service: PagerDutyContract, faults: Misbehaviour
) -> None:
    faults.lose_answer("/enqueue")
    with pytest.raises(Unavailable, match="PagerDuty did not answer"):
        pagerduty.page(page())
    pagerduty.page(page())
    assert service.opened == ["INC-1/L1"]
    assert len(service.events) == 2


def test_pagerduty_says_how_long_to_wait(pagerduty: PagerDutyPager, faults: Misbehaviour) -> None:
    faults.answer_instead("/enqueue", PlainTextResponse("slow down", 429, headers={"Retry-After": "17"}))
    with pytest.raises(RateLimited) as caught:
        pagerduty.page(page())
    assert caught.value.next_retry_delay == timedelta(seconds=17)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_its_faults_are_passing(pagerduty: PagerDutyPager, faults: Misbehaviour, status: int) -> None:
    faults.answer_instead("/enqueue", PlainTextResponse("<html>", status))
    with pytest.raises(Unavailable, match=f"HTTP {status}"):
        pagerduty.page(page())


def test_a_refusal_is_final_and_in_pagerduty_s_words(base_url: str) -> None:
    with httpx.Client() as http, pytest.raises(Refused) as caught:
        PagerDutyPager(http, SecretStr("tooshort"), base_url).page(page())
    said = caught.value.message
    assert "Event object is invalid" in said
    assert "should be 32 characters" in said
    assert caught.value.non_retryable


def test_the_routing_key_is_never_shown(base_url: str, faults: Misbehaviour) -> None:
    wrong = secrets.token_hex(16)  # the contract's refusal repeats it
    with httpx.Client() as http, structlog.testing.capture_logs() as logs:
        pager = PagerDutyPager(http, SecretStr(wrong), base_url)
        with pytest.raises(Refused) as refused:
            pager.page(page())
        faults.lose_answer("/enqueue")
        with pytest.raises(Unavailable) as lost:
            pager.page(page())
        faults.answer_instead("/enqueue", JSONResponse({"message": ["odd"], "errors": wrong}, 400))
        with pytest.raises(Refused) as odd:
            pager.page(page())
    for error in (refused, lost, odd):
        assert wrong not in repr(error.value) + json.dumps(logs) + repr(error.value.__cause__)
    assert "[redacted]" in refused.value.message


def test_a_plan_sends_nothing(pagerduty: PagerDutyPager, service: PagerDutyContract) -> None:
    changes = [pagerduty.page(page(dry_run=True)), pagerduty.resolve(resolve(dry_run=True))]
    assert [change.applied for change in changes] == [False, False]
    assert service.events == []


def test_long_texts_fit(pagerduty: PagerDutyPager, service: PagerDutyContract) -> None:
    pagerduty.page(page(summary="x" * 5000))
    assert len(service.events[0]["payload"]["summary"]) == 1024
    with pytest.raises(InvalidInput, match="incident_id"):
        pagerduty.page(page(incident_id="x" * 255))


@pytest.mark.parametrize("severity", ["P1", "P2", "P3", "P4"])
def test_every_severity_is_known_there(pagerduty: PagerDutyPager, severity: str) -> None:
    assert pagerduty.page(page(severity=severity)).applied


def test_both_backends_are_pagers(pagerduty: PagerDutyPager, pager: RecordsPager) -> None:
    backends: list[Pager] = [pagerduty, pager]
    for backend in backends:
        paging = Paging(backend)
        assert ActivityEnvironment().run(paging.page, page()).applied
        assert ActivityEnvironment().run(paging.acknowledge, acknowledge()).applied
        assert ActivityEnvironment().run(paging.resolve, resolve()).applied


@given(st.text(max_size=40))
def test_whatever_retry_after_says_is_survived(value: str) -> None:
    wait = wait_asked({"retry-after": value})
    assert wait is None or timedelta(0) <= wait <= timedelta(minutes=10)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        ("99999999999999", 600),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00", 0),
    ],
)
def test_retry_after_is_read(value: str, seconds: int) -> None:
    assert wait_asked({"retry-after": value}) == timedelta(seconds=seconds)
