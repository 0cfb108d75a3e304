"""EndOfDay: figures against those before, one handoff and one report a day, and what is not known is said."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.monitoring.runs import OpenRun, ScheduleState
from tests.workflows.conftest import Working
from tests.workflows.daily_operations.evenings import (
    BERLIN,
    HANDED_OVER,
    NAME,
    POLICY,
    WINDOW,
    evening,
    line,
    report,
    today,
)
from tests.workflows.steering import begin, told
from tests.workflows.worlds.day import Day
from workflows.daily_operations.end_of_day import EndOfDayRequest
from workflows.daily_operations.handoff import for_slack


@pytest.fixture
def day(day: Day) -> Day:
    day.service = day.service.model_copy(update={"daily": POLICY, "on_call": "primary"})
    return day


async def test_what_is_handed_over(working: Working, client: Client, day: Day) -> None:
    day.tenant("acme")
    day.sql.execute(HANDED_OVER)
    report(day, 1, **{"missed schedules": 1.0})
    tomorrow = datetime.combine(today() + timedelta(days=1), datetime.min.time(), BERLIN)
    pulses = [tomorrow + timedelta(hours=hour) for hour in (8, 9, 10)]
    day.schedules = [
        ScheduleState(name="hourly-health-pulse/tensafe-server", paused=False, missed=3, upcoming=pulses),
        ScheduleState(name="database-maintenance/tensafe-server", paused=True, missed=0, upcoming=[]),
    ]
    day.runs = [OpenRun(workflow_id="w/1", procedure="MaintenanceWindow", title="Window", started_at=datetime.now(UTC))]
    for name, service, begins in (
        ("MW-1", "tensafe-server", tomorrow + timedelta(hours=2)),
        ("MW-2", "tensafe-server", tomorrow + timedelta(days=2)),
        ("MW-3", "another", tomorrow + timedelta(hours=2)),
    ):
        ends = begins + timedelta(hours=1)
        day.sql.execute(WINDOW, (name, service, "Upgrade *the* disks", begins, ends, ends, name))
    async with working(day.activities()) as queue:
        text = (await evening(client, queue))["handoff"]
    at = f"{tomorrow:%a} 02:00 to {tomorrow:%a} 03:00"
    assert line(text, "- maintenance") == f"- maintenance MW-1: Upgrade \\*the\\* disks, {at}"
    assert "MW-2" not in text
    assert "MW-3" not in text
    assert "- **P2 INC-7** slow \\*again\\*: open since" in text
    assert line(text, "- **P2 INC-7**").endswith("ada has it")
    assert "- P1 T-1 Jobs hang, 3 days old, nobody **its update is overdue**" in text
    assert "v1.2.5 started (grace)" in text
    assert "- Window (`w/1`)" in text
    assert "- on call, level 1: lea," in text
    assert "- hourly-health-pulse/tensafe-server at 08:00 and later" in text
    assert "- database-maintenance/tensafe-server is **paused**" in text
    assert "- 2 scheduled runs have come too late" in text
    assert "- a release of tensafe-server is not complete" in text
    shown = day.messages("#oncall")[0]
    assert "*P2 INC-7* slow *again*" in shown
    assert "## " not in shown


async def test_run_twice_there_is_one_handoff_and_one_report(
    working: Working, client: Client, time_skipping: WorkflowEnvironment, day: Day
) -> None:
    with time_skipping.auto_time_skipping_disabled():
        async with working(day.activities()) as queue:
            first, second = await evening(client, queue), await evening(client, queue)
            assert (first["report"], second["report"]) == ("kept", "known")
            assert len(day.messages("#oncall")) == 1
            third = await evening(client, queue, again=True)
    assert (third["report"], len(day.messages("#oncall"))) == ("known", 2)
    assert len(day.rows("SELECT FROM runbooks.daily_reports")) == 1


async def test_without_yesterdays_report_it_says_so(working: Working, client: Client, day: Day) -> None:
    async with working(day.activities()) as queue:
        text = (await evening(client, queue))["handoff"]
    assert line(text, "| Errors") == "| Errors | 12 | no report | no report |"
    assert line(text, "| MRR") == "| MRR | no data | no report | no report |"
    assert "- nobody is entered as on call" in text


async def test_without_records_the_handoff_goes_out_and_the_report_is_given_up_in_time(
    working: Working, client: Client, day: Day
) -> None:
    # The chat is Slack's own: it answers while the records don't.
    day.down = {"records", "support", "figures", "metrics"}
    async with working(day.activities()) as queue:
        handle = await begin(client, queue, EndOfDayRequest(), NAME)
        result = await handle.result()
        assert "takes longer than" in await told(handle)
    assert (result["posted"], result["report"]) == (True, "not kept")
    assert result["seconds"] < timedelta(hours=8).total_seconds()
    text = result["handoff"]
    unknown = "not known: the records could not be asked"
    assert text.count(f"- {unknown}") == 3
    assert line(text, "| MRR") == f"| MRR | {unknown} | not known | not known |"
    assert "who is on call is not known" in text
    assert day.rows("SELECT FROM runbooks.daily_reports") == []


async def test_a_plan_keeps_and_posts_nothing(working: Working, client: Client, day: Day) -> None:
    async with working(day.activities()) as queue:
        result = await evening(client, queue, dry_run=True)
    assert (result["report"], result["posted"], day.messages("#oncall")) == ("not kept", False, [])
    assert day.rows("SELECT FROM runbooks.daily_reports") == []


async def test_the_day_against_yesterday_and_a_week_ago(working: Working, client: Client, day: Day) -> None:
    day.tenant("acme", monthly_revenue=900)
    day.tenant("beta", monthly_revenue=300)
    report(day, 1, uptime=0.9999, errors=10, mrr=1000, new_customers=1)
    report(day, 7, uptime=None, errors=12, mrr=1200, new_customers=0)
    async with working(day.activities()) as queue:
        result = await evening(client, queue)
    assert (result["overall"], result["report"], result["posted"]) == ("GREEN", "kept", True)
    assert (result["day"], result["time_zone"]) == (str(today()), "Europe/Berlin")
    text = result["handoff"]
    assert line(text, "| Uptime") == "| Uptime | 99.910% | 99.990% | not known |"
    assert line(text, "| Errors") == "| Errors | 12 | 10: +2 (+20.0%) | 12: ±0 |"
    assert line(text, "| New customers") == "| New customers | 2 | 1: +1 (+100.0%) | 0: +2 |"
    assert line(text, "| MRR") == "| MRR | 1,200 | 1,000: +200 (+20.0%) | 1,200: ±0 |"
    ((kept, zone, figures),) = day.rows(
        "SELECT handoff, time_zone, figures FROM runbooks.daily_reports WHERE effect_key NOT LIKE 'report %'"
    )
    assert (kept, zone, figures["mrr"], figures["uptime"]) == (text, "Europe/Berlin", 1200, 0.9991)
    (posted,) = day.messages("#oncall")
    assert posted == for_slack(text)
    ((picture,),) = day.rows("SELECT picture FROM runbooks.messages")
    assert bytes(picture).startswith(b"\x89PNG")
