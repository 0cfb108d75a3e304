"""Several at once on one component: the same rule on both pages."""

import pytest
from temporalio.testing import ActivityEnvironment

from activities.messages.status_page.atlassian import AtlassianStatusPage
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import (
    StatusPage,
    StatusPages,
)
from tests.activities.messages.status_page.shown import Shown
from tests.activities.messages.status_page.updates import leave, maintenance, update


def test_both_backends_are_status_pages(page: AtlassianStatusPage, own: RecordsStatusPage) -> None:
    backends: list[StatusPage] = [page, own]
    for backend in backends:
        assert ActivityEnvironment().run(StatusPages(backend).update, update("Identified", "one")).applied


def test_the_worst_of_two_incidents_shows(shown: Shown) -> None:
    for status, step, incident, shows in (
        ("Investigating", "a", "INC-1", "major_outage"),
        ("Monitoring", "b", "INC-2", "major_outage"),
        ("Identified", "c", "INC-1", "partial_outage"),
        ("Investigating", "d", "INC-2", "major_outage"),
        ("Resolved", "e", "INC-2", "partial_outage"),
        ("Resolved", "f", "INC-1", "operational"),
    ):
        shown.page.update(update(status, step, incident))
        assert shown.api == shows, step


def test_a_maintenance_shows_where_nothing_worse_does(shown: Shown) -> None:
    shown.page.maintenance(maintenance("Scheduled", "a"))
    assert shown.api == "operational"
    shown.page.update(update("Identified", "b"))
    shown.page.maintenance(maintenance("In progress", "c", "under_maintenance"))
    assert shown.api == "partial_outage"
    shown.page.update(update("Resolved", "d"))
    assert shown.api == "under_maintenance"
    shown.page.maintenance(maintenance("Completed", "e", "operational"))
    assert shown.api == "operational"


def test_an_outage_in_a_maintenance_is_not_over_with_it(shown: Shown) -> None:
    shown.page.maintenance(maintenance("In progress", "a", "under_maintenance"))
    shown.page.update(update("Investigating", "b"))
    shown.page.maintenance(maintenance("Completed", "c", "operational"))
    assert shown.api == "major_outage"


@pytest.mark.parametrize("theirs", ["degraded_performance", "under_maintenance"])
def test_a_persons_own_change_lasts_until_they_end_it(shown: Shown, theirs: str) -> None:
    shown.by_hand(theirs)
    for status, step, shows in (
        ("Investigating", "a", "major_outage"),
        ("Identified", "b", "partial_outage"),
        ("Resolved", "c", theirs),
    ):
        shown.page.update(update(status, step))
        assert shown.api == shows, step
    shown.page.maintenance(maintenance("In progress", "d", "under_maintenance"))
    shown.page.maintenance(maintenance("Completed", "e", "operational"))
    assert shown.api == theirs
    shown.by_hand_is_over()
    shown.page.update(update("Investigating", "f", "INC-9"))
    shown.page.update(update("Resolved", "g", "INC-9"))
    assert shown.api == "operational"


def test_an_entry_whose_run_is_gone_says_what_it_said_until_it_is_over(shown: Shown) -> None:
    shown.page.update(update("Investigating", "a"))
    left = shown.page.leave(leave("b"))
    assert (left.before, left.after, left.applied) == ("Investigating", "Investigating", True)
    assert not shown.page.leave(leave("b")).applied
    assert shown.api == "major_outage"
    shown.page.update(update("Identified", "c", "INC-2"))
    assert shown.page.leave(leave("d", over=True)).applied
    assert shown.api == "partial_outage", "the other one's"
    again = shown.page.leave(leave("e", over=True))
    assert (again.after, again.applied) == ("Resolved", False)


def test_what_was_never_published_or_is_over_isnt_published_for_that(shown: Shown) -> None:
    assert not shown.page.leave(leave("a")).applied
    shown.page.update(update("Identified", "b"))
    shown.page.update(update("Resolved", "c"))
    shown.by_hand("degraded_performance")
    assert not shown.page.leave(leave("d")).applied
    assert shown.api == "degraded_performance"


def test_what_a_person_has_set_stays_when_an_entry_is_left(shown: Shown) -> None:
    shown.page.update(update("Identified", "a"))
    shown.by_hand("major_outage")
    shown.page.leave(leave("b"))
    assert shown.api == "major_outage"
    shown.page.leave(leave("c", over=True))
    assert shown.api == "major_outage"


def test_a_maintenance_that_ended_unwell_shows_until_something_newer_is_said(shown: Shown) -> None:
    shown.page.maintenance(maintenance("In progress", "a", "under_maintenance"))
    shown.page.maintenance(maintenance("Completed", "b", "major_outage"))
    assert shown.api == "major_outage"
    shown.page.update(update("Identified", "c"))
    assert shown.api == "partial_outage"
    shown.page.update(update("Resolved", "d"))
    assert shown.api == "operational"


def test_one_that_is_only_planned_or_called_off_says_nothing_newer(shown: Shown) -> None:
    shown.page.maintenance(maintenance("In progress", "a", "under_maintenance"))
    shown.page.maintenance(maintenance("Completed", "b", "major_outage"))
    for status in ("Scheduled", "Completed"):
        other = maintenance(status, f"other {status}").model_copy(update={"window_id": "MW-2"})
        assert shown.page.maintenance(other).applied
        assert shown.api == "major_outage", status
    third = maintenance("In progress", "c", "under_maintenance").model_copy(update={"window_id": "MW-3"})
    shown.page.maintenance(third)
    assert shown.api == "under_maintenance"
