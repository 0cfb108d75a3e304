"""The handoff: a day against yesterday and a week ago, cut for the channel."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.daily_operations.evenings import evening, line, report, today
from tests.workflows.worlds.day import Day
from workflows.daily_operations.handoff import for_slack


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


def test_a_long_handoff_is_cut_for_the_channel() -> None:
    shown = for_slack("# Title\n" + "- **bold** and `code`\n" * 500)
    assert shown.startswith("*Title*\n• *bold* and `code`\n")
    assert len(shown) < 3700
    assert shown.endswith("(all of it: the report in the records)")
