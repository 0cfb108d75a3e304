"""PagerDuty: one alert a page, from trigger to resolve, and refused in its own words."""

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse
from temporalio.testing import ActivityEnvironment

from activities.common.errors import InvalidInput, RateLimited, Refused, Unavailable
from activities.common.http import wait_asked
from activities.messages.paging.pagerduty import PagerDutyPager
from activities.messages.paging.paging import Pager, Paging
from activities.messages.paging.records import RecordsPager
from tests.activities.contracts.pagerduty import PagerDutyContract
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.messages.paging.paged import acknowledge, page, resolve

KEY = secrets.token_hex(16)


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
