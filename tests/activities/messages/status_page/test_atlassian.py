"""Atlassian's Statuspage: published once, settled with what others write, and refused in its own words."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse

from activities.common.errors import Misconfigured, NotFound, RateLimited, Refused, Unavailable
from activities.messages.status_page.atlassian import AtlassianStatusPage
from activities.messages.status_page.records import RecordsStatusPage
from tests.activities.contracts.serving import Misbehaviour
from tests.activities.contracts.statuspage import StatuspageContract
from tests.activities.messages.status_page.updates import KEY, WAY, leave, maintenance, update
from tests.records_schema.fixtures import count


def test_one_incident_takes_all_updates(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    assert str(page.update(update("Investigating", "one"))) == "status page/api: Investigating"
    assert service.components["comp-api"] == "major_outage"
    assert str(page.update(update("Identified", "two"))) == "status page/api: Investigating → Identified"
    page.update(update("Resolved", "three"))
    assert len(service.incidents) == 1
    assert service.updates() == ["investigating", "identified", "resolved"]
    assert service.incidents[0]["name"] == "API down"
    assert service.components == {"comp-api": "operational", "comp-db": "operational"}


def test_an_update_published_twice_is_there_once(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one"))
    again = page.update(update("Identified", "one"))
    assert (again.applied, again.note) == (False, "published already")
    assert service.updates() == ["identified"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_lost_answer_makes_no_second_update(
    page: AtlassianStatusPage, service: StatuspageContract, faults: Misbehaviour, *, existing: bool
) -> None:
    if existing:
        page.update(update("Investigating", "before"))
    path = service.incidents[0]["id"] if existing else "/incidents"
    # The look-up before the write has the same path where there is no incident yet.
    faults.lose_answer(path, after=0 if existing else 1)
    with pytest.raises(Unavailable, match="Statuspage did not answer"):
        page.update(update("Identified", "one"))
    assert not page.update(update("Identified", "one")).applied
    assert len(service.incidents) == 1
    assert service.updates().count("identified") == 1


def test_another_incident_has_its_own(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one", "INC-1"))
    page.update(update("Identified", "two", "INC-2"))
    page.update(update("Resolved", "three", "INC-1"))
    assert [incident["status"] for incident in service.incidents] == ["identified", "resolved"]


def test_an_incident_keeps_the_components_it_has(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one"))
    page.update(update("Identified", "two", component="db"))
    assert {part["id"] for part in service.incidents[0]["components"]} == {"comp-api", "comp-db"}


def test_of_two_incidents_on_a_component_the_worse_one_shows(
    page: AtlassianStatusPage, service: StatuspageContract
) -> None:
    for status, step, incident, shown in (
        ("Investigating", "a", "INC-1", "major_outage"),
        ("Monitoring", "b", "INC-2", "major_outage"),
        ("Identified", "c", "INC-1", "partial_outage"),
        ("Investigating", "d", "INC-2", "major_outage"),
        ("Resolved", "e", "INC-2", "partial_outage"),
        ("Resolved", "f", "INC-1", "operational"),
    ):
        page.update(update(status, step, incident))
        assert service.components["comp-api"] == shown, step


@pytest.mark.parametrize(
    ("status", "set_to", "afterwards"),
    [
        ("investigating", "degraded_performance", "degraded_performance"),
        ("in_progress", "under_maintenance", "under_maintenance"),
        ("scheduled", "operational", "operational"),
        ("resolved", "major_outage", "operational"),
    ],
)
def test_what_a_person_has_set_is_not_taken_back(
    page: AtlassianStatusPage, service: StatuspageContract, status: str, set_to: str, afterwards: str
) -> None:
    theirs = {"code": "comp-api", "new_status": set_to}
    service.incidents.append(
        {
            "id": "by-hand",
            "name": "DNS",
            "status": status,
            "metadata": {},
            "components": [{"id": "comp-api", "status": set_to}],
            "incident_updates": [{"id": "u1", "status": status, "affected_components": [theirs]}],
        }
    )
    page.update(update("Investigating", "one"))
    assert service.components["comp-api"] == "major_outage"
    page.update(update("Resolved", "two"))
    assert service.components["comp-api"] == afterwards


Act = Callable[[AtlassianStatusPage], Any]


class Between:
    """Another run's doing, right between a run's look at the page and its write."""

    def __init__(self, base_url: str, service: StatuspageContract, http: httpx.Client, others: httpx.Client) -> None:
        components = {"api": "comp-api"}
        self.page = AtlassianStatusPage(http, SecretStr(KEY), "page1", components, base_url)
        self._other = AtlassianStatusPage(others, SecretStr(KEY), "page1", components, base_url)
        self._service = service
        self._then: Act | None = None
        http.event_hooks = {"request": [self._before]}

    @property
    def shows(self) -> str:
        return self._service.components["comp-api"]

    def then(self, act: Act) -> None:
        """Be done before the next write."""
        self._then = act

    def _before(self, request: httpx.Request) -> None:
        if request.method != "GET" and self._then is not None:
            act, self._then = self._then, None
            act(self._other)


@pytest.fixture
def between(base_url: str, service: StatuspageContract, http: httpx.Client) -> Iterator[Between]:
    with httpx.Client() as others:
        yield Between(base_url, service, http, others)


ENDS: dict[str, Act] = {
    "resolved": lambda page: page.update(update("Resolved", "end", "INC-1")),
    "left behind": lambda page: page.leave(leave("end", over=True)),
    "maintenance": lambda page: page.maintenance(maintenance("Completed", "end", "operational")),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_another_run_publishes_between_our_look_and_our_write_shows(between: Between, end: str) -> None:
    between.page.update(update("Identified", "a", "INC-1"))
    between.page.maintenance(maintenance("In progress", "b", "under_maintenance"))
    between.then(lambda other: other.update(update("Investigating", "c", "INC-2")))
    ENDS[end](between.page)
    assert between.shows == "major_outage"


def test_two_that_end_at_once_leave_nothing_behind(between: Between) -> None:
    for incident in ("INC-1", "INC-2"):
        between.page.update(update("Identified", f"begin-{incident}", incident))
    between.then(lambda other: other.update(update("Resolved", "b", "INC-2")))
    between.page.update(update("Resolved", "a", "INC-1"))
    assert between.shows == "operational"


def test_a_run_that_was_killed_after_its_write_puts_it_right(
    between: Between, faults: Misbehaviour, service: StatuspageContract
) -> None:
    between.page.update(update("Identified", "a", "INC-1"))
    between.then(lambda other: other.update(update("Investigating", "b", "INC-2")))
    faults.lose_answer(service.incidents[0]["id"])
    with pytest.raises(Unavailable):
        between.page.update(update("Resolved", "c", "INC-1"))
    assert between.shows == "operational"
    assert between.page.update(update("Resolved", "c", "INC-1")).note == "published already"
    assert between.shows == "major_outage"


def test_a_post_mortem_is_not_opened_again(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one"))
    service.incidents[0]["status"] = "postmortem"
    change = page.update(update("Resolved", "two"))
    assert (change.applied, change.note) == (False, "a person has ended it")
    assert service.updates() == ["identified"]
    assert service.components["comp-api"] == "operational"


def test_it_is_found_behind_other_people_s_incidents(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one"))
    others: list[dict[str, Any]] = [
        {"id": f"x{n}", "name": "other", "status": "resolved", "metadata": m, "incident_updates": [], "components": []}
        for n in range(130)
        for m in [None if n % 2 else {"theirs": {"a": 1}}]
    ]
    service.incidents[:0] = others
    page.update(update("Resolved", "two"))
    assert len(service.incidents) == 131
    assert service.updates(-1) == ["identified", "resolved"]


def test_metadata_of_others_on_our_incident_stays(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.update(update("Identified", "one"))
    service.incidents[0]["metadata"]["jira"] = {"issue": "OPS-1"}
    page.update(update("Resolved", "two"))
    assert service.incidents[0]["metadata"]["jira"] == {"issue": "OPS-1"}


def test_a_plan_only_looks(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    change = page.update(update("Identified", "one", dry_run=True))
    assert (change.applied, change.after) == (False, "Identified")
    assert service.incidents == []
    assert service.components["comp-api"] == "operational"


@pytest.mark.parametrize("status", [420, 429])
def test_both_ways_to_say_slow_down(page: AtlassianStatusPage, faults: Misbehaviour, status: int) -> None:
    faults.answer_instead("/incidents", PlainTextResponse("", status, headers={"Retry-After": "60"}))
    with pytest.raises(RateLimited) as caught:
        page.update(update("Identified", "one"))
    assert caught.value.next_retry_delay == timedelta(seconds=60)


@pytest.mark.parametrize(
    "response", [PlainTextResponse("<html>", 502), PlainTextResponse("<html>", 200), JSONResponse({"odd": 1}, 200)]
)
def test_nonsense_is_a_passing_fault(page: AtlassianStatusPage, faults: Misbehaviour, response: Any) -> None:
    faults.answer_instead("/incidents", response)
    with pytest.raises(Unavailable):
        page.update(update("Identified", "one"))


def test_an_unmapped_component_names_the_setting(page: AtlassianStatusPage) -> None:
    with pytest.raises(Misconfigured, match=r"\[statuspage.components\] does not map 'web'; it has: api, db"):
        page.update(update("Identified", "one", component="web"))


def test_a_component_of_another_page_is_refused(http: httpx.Client, base_url: str) -> None:
    page = AtlassianStatusPage(http, SecretStr(KEY), "page1", {"api": "comp-gone"}, base_url)
    with pytest.raises(Refused, match="Component comp-gone is not of this page"):
        page.update(update("Identified", "one"))


def test_the_key_is_never_shown(http: httpx.Client, base_url: str, faults: Misbehaviour) -> None:
    wrong = "wrong-key-4711"
    with structlog.testing.capture_logs() as logs:
        page = AtlassianStatusPage(http, SecretStr(wrong), "page1", {"api": "comp-api"}, base_url)
        with pytest.raises(Misconfigured, match="HTTP 401") as rejected:
            page.update(update("Identified", "one"))
        faults.answer_instead("/incidents", JSONResponse({"error": f"no such key {wrong}"}, 403))
        with pytest.raises(Refused, match="redacted") as refused:
            page.update(update("Identified", "one"))
    for error in (rejected, refused):
        assert wrong not in repr(error.value) + json.dumps(logs)


def test_a_wrong_page_is_not_found(http: httpx.Client, base_url: str) -> None:
    with pytest.raises(NotFound, match="page not found"):
        AtlassianStatusPage(http, SecretStr(KEY), "page2", {"api": "comp-api"}, base_url).update(
            update("Resolved", "one")
        )


def test_a_maintenance_goes_its_way_at_atlassian(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    shown = []
    for status, shows in WAY:
        assert page.maintenance(maintenance(status, status, shows)).applied
        assert page.maintenance(maintenance(status, status, shows)).note == "published already"
        shown.append(service.components["comp-api"])
    assert service.updates() == ["scheduled", "in_progress", "verifying", "completed"]
    assert shown == ["operational", "under_maintenance", "under_maintenance", "operational"]
    (incident,) = service.incidents
    assert incident["scheduled_until"] == "2026-02-05T04:00:00+00:00"
    assert not any(value for name, value in incident.items() if name.startswith(("scheduled_auto", "auto_")))


def test_a_maintenance_never_goes_back(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.maintenance(maintenance("Scheduled", "a"))
    page.maintenance(maintenance("Completed", "b"))
    assert page.maintenance(maintenance("In progress", "c", "under_maintenance")).note == "In progress comes too late"
    assert service.components["comp-api"] == "operational"


def test_what_was_never_announced_is_not_completed(
    page: AtlassianStatusPage, service: StatuspageContract, own: RecordsStatusPage
) -> None:
    for backend in (page, own):
        change = backend.maintenance(maintenance("Completed", "b", "operational"))
        assert (change.applied, change.note) == (False, "it was never announced")
    assert service.incidents == []


def test_a_lost_answer_schedules_no_second_one(
    page: AtlassianStatusPage, service: StatuspageContract, faults: Misbehaviour
) -> None:
    faults.lose_answer("/incidents", after=1)
    with pytest.raises(Unavailable):
        page.maintenance(maintenance("Scheduled", "a"))
    assert not page.maintenance(maintenance("Scheduled", "a")).applied
    assert len(service.incidents) == 1


def test_an_incident_shows_through_a_maintenance(page: AtlassianStatusPage, service: StatuspageContract) -> None:
    page.maintenance(maintenance("In progress", "a", "under_maintenance"))
    page.update(update("Investigating", "b"))
    page.maintenance(maintenance("Completed", "c", "operational"))
    assert service.components["comp-api"] == "major_outage"
    page.update(update("Resolved", "d"))
    assert service.components["comp-api"] == "operational"


def test_a_planned_maintenance_leaves_nothing(
    page: AtlassianStatusPage, service: StatuspageContract, own: RecordsStatusPage, records_sql: psycopg.Connection[Any]
) -> None:
    for backend in (page, own):
        assert not backend.maintenance(maintenance("Scheduled", "a", dry_run=True)).applied
    assert (service.incidents, count(records_sql, "maintenance_notices")) == ([], 0)
