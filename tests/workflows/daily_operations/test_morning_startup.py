"""MorningStartup: one summary a day, what is not known is said, and a service that is down gets one incident."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.autoscaling.states import Autoscaling
from activities.catalogue.daily import DailyPolicy
from activities.monitoring.prometheus import Fired
from activities.monitoring.runs import OpenRun
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, comes, told, waiting_for
from tests.workflows.worlds.day import Day
from workers.registry import PROCEDURES
from workflows.daily_operations.morning_startup import MorningStartupRequest
from workflows.incident_response.p1_incident import P1Request, P1Result
from workflows.incident_response.p2_incident import P2Request
from workflows.platform.approval import Decision
from workflows.shared.continued import JOINED, Joined, p1_run_id

NAME = "morning_startup"
STANDS_FOR = {"p1_incident", "p2_incident"}
ADA = {"who": "ada", "role": "commander"}
OPEN = """
INSERT INTO runbooks.incidents
       (incident_id, service, severity, title, commander, opened_at, workflow_id, run_id, effect_key)
VALUES ('INC-7', 'tensafe-server', 'P2', 'slow', 'ada', now(), %s, 'r', 'i')
"""


@workflow.defn(name="P1Incident")
class Incident:
    """Stands for the procedure: these tests are about who starts it."""

    @workflow.run
    async def run(self, request: P1Request) -> P1Result:
        return P1Result(
            incident_id="INC-1",
            service=str(request.service),
            outcome="closed",
            mitigations=[],
            resolution=str(request.title),
            resolved_after=timedelta(0),
            evidence=[],
        )


@pytest.fixture
def workflow_types() -> list[type]:
    return [*(known.workflow for known in PROCEDURES if known.name not in STANDS_FOR), Incident, Open]


async def morning(client: Client, queue: str, **fields: Any) -> dict[str, Any]:
    handle = await begin(client, queue, MorningStartupRequest(**fields), NAME)
    result: dict[str, Any] = await handle.result()
    return result


def pays(day: Day, tenant: str, monthly: int) -> None:
    day.tenant(tenant, monthly_revenue=monthly)
    day.sql.execute("SELECT runbooks.record_usage(%s, 'api_call')", (tenant,))


def ticket(day: Day, ticket_id: str, priority: str, ago: str = "1 hour") -> None:
    day.sql.execute(
        "INSERT INTO runbooks.support_tickets (ticket_id, tenant_id, priority, title, description, opened_at, "
        "workflow_id, run_id, effect_key) VALUES (%s, 'acme', %s, 'Jobs hang', '', now() - %s::interval, 'w', 'r', %s)",
        (ticket_id, priority, ago, ticket_id),
    )


async def test_a_good_morning(working: Working, client: Client, day: Day) -> None:
    day.service = day.service.model_copy(update={"daily": DailyPolicy(uptime="avg_over_time(service_up[$window])")})
    pays(day, "acme", 900)
    pays(day, "beta", 100)
    ticket(day, "T-1", "P3")
    async with working(day.activities()) as queue:
        result = await morning(client, queue)
    assert (result["overall"], result["reasons"], result["to_do"]) == ("GREEN", [], [])
    assert result["figures"] == {"uptime": 0.9991, "error rate": 0.001, "dau": 2.0, "mrr": 1000.0}
    (text,) = day.messages()
    assert "*tensafe-server: GREEN* in the morning of" in text
    assert "uptime 99.910%, error rate 0.100%, DAU 2, MRR 1,000" in text
    assert "0 P1, 0 P2, 1 open ticket in all" in text
    assert "*To look at:* nothing" in text
    ((picture,),) = day.rows("SELECT picture FROM runbooks.messages")
    assert bytes(picture).startswith(b"\x89PNG")


async def test_what_is_to_be_looked_at(working: Working, client: Client, day: Day) -> None:
    pays(day, "acme", 900)
    ticket(day, "T-1", "P1")
    day.world.ready = 2
    day.figures["error_rate"] = 0.2
    day.world.autoscaling = Autoscaling(
        hpa_max=9, held_by="emergency-scale-up/1", held_until=datetime(2026, 2, 4, tzinfo=UTC)
    )
    day.service = day.service.model_copy(update={"hpa": "tensafe-server"})
    day.fired = [Fired(name="HighLatency", severity="P2", firing=True), Fired(name="Blip", severity="P3", firing=False)]
    day.runs = [
        OpenRun(
            workflow_id="db/1",
            procedure="DatabaseFailover",
            title="Failover",
            started_at=datetime.now(UTC),
            waiting_for="decide promote",
        )
    ]
    async with working(day.activities()) as queue:
        result = await morning(client, queue)
    assert result["overall"] == "YELLOW"
    assert [reason.partition(":")[0] for reason in result["reasons"]] == [
        "pods YELLOW",
        "autoscaler YELLOW",
        "error rate YELLOW",
    ]
    todo = "\n".join(result["to_do"])
    for said in ("HighLatency and no incident has it", "ticket T-1 P1", "waits: decide promote", "start rollback"):
        assert said in todo
    (text,) = day.messages()
    assert "HighLatency (P2) still fires, Blip (P3)" in text
    assert "autoscaler: held by emergency-scale-up/1 until 2026-02-04 00:00 UTC" in text


async def test_nothing_answers_and_the_channel_says_so(working: Working, client: Client, day: Day) -> None:
    # The chat is Slack's own: it answers while the records don't.
    day.down = {"metrics", "kubernetes", "records", "support", "figures", "runs"}
    async with working(day.activities()) as queue:
        result = await morning(client, queue)
    assert result["overall"] == "YELLOW"
    assert len([one for one in result["to_do"] if one.endswith("could not be read")]) == 5
    (text,) = day.messages()
    assert "error rate not known: Prometheus could not be asked" in text
    assert "DAU not known: the records could not be asked" in text
    assert "pods YELLOW: the cluster could not be asked" in text


@pytest.mark.parametrize(("again", "posts"), [(False, 1), (True, 2)])
async def test_one_summary_a_day_whoever_starts_another(
    working: Working, client: Client, time_skipping: WorkflowEnvironment, day: Day, *, again: bool, posts: int
) -> None:
    # Between two runs nothing keeps a skipping clock from years to come: then it's another day.
    with time_skipping.auto_time_skipping_disabled():
        async with working(day.activities()) as queue:
            await morning(client, queue)
            await morning(client, queue, again=again)
    assert len(day.messages()) == posts


async def test_a_plan_posts_nothing_and_leaves_the_days_summary_to_be_posted(
    working: Working, client: Client, time_skipping: WorkflowEnvironment, day: Day
) -> None:
    day.world.healthy = False
    with time_skipping.auto_time_skipping_disabled():
        async with working(day.activities()) as queue:
            handle = await begin(client, queue, MorningStartupRequest(dry_run=True), NAME)
            assert (await handle.result())["incident"] == "left"
            assert "would start P1 incident response" in await told(handle)
            assert day.messages() == []
            day.world.healthy = True
            await morning(client, queue)
    assert len(day.messages()) == 1


async def test_a_service_that_is_down_gets_an_incident(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    day.world.taken = ["an-earlier-one"]
    async with working(day.activities()) as queue:
        result = await morning(client, queue)
        assert (result["overall"], result["incident"]) == ("RED", "started")
        incident = await client.get_workflow_handle(p1_run_id("tensafe-server")).result()
        described = await client.get_workflow_handle(p1_run_id("tensafe-server")).describe()
    # Alerts that the P1 run before it took start nothing anew.
    assert (await described.memo())["episodes"] == ["an-earlier-one"]
    assert "is down in the morning: unhealthy" in incident["resolution"]
    assert "P1 incident response (2.2) is started" in day.messages()[0]


@workflow.defn(name="P2Incident")
class Open:
    """Stands for a run that looks after an incident: it ends once it has been told of another."""

    def __init__(self) -> None:
        self.told: Joined | None = None

    @workflow.run
    async def run(self, request: P2Request) -> Joined:
        await workflow.wait_condition(lambda: self.told is not None)
        assert self.told is not None
        return self.told

    @workflow.signal(name=JOINED)
    def joined(self, joined: Joined) -> None:
        self.told = joined


@pytest.mark.parametrize("known_to", ["records", "temporal"])
async def test_an_incident_that_is_open_is_joined_by_telling_it(
    working: Working, client: Client, day: Day, known_to: str
) -> None:
    day.world.healthy = False
    async with working(day.activities()) as queue:
        incident = await client.start_workflow(
            "P2Incident", P2Request(), id=f"p2-{uuid4()}", task_queue=queue, result_type=Joined
        )
        if known_to == "records":
            day.sql.execute(OPEN, (incident.id,))
        else:
            now = datetime.now(UTC)
            day.runs = [OpenRun(workflow_id=incident.id, procedure="P2Incident", title="slow", started_at=now)]
        handle = await begin(client, queue, MorningStartupRequest(), NAME)
        assert (await handle.result())["incident"] == "joined"
        told_it: Joined = await incident.result()
    assert (told_it.severity, told_it.who) == ("P1", handle.id)
    assert "tensafe-server is down in the morning" in told_it.what
    assert "It is down, and its incident is at work" in day.messages()[0]


async def test_an_incident_whose_run_has_ended_is_nobody_at_work(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    day.sql.execute(OPEN, ("a-run-that-is-gone",))
    async with working(day.activities()) as queue:
        handle = await begin(client, queue, MorningStartupRequest(), NAME)
        assert (await handle.result())["incident"] == "started"
        assert "is listed as open, but its run a-run-that-is-gone has ended" in await told(handle)


@pytest.mark.parametrize(("choice", "became"), [("leave", "left"), ("start", "started")])
async def test_where_incidents_are_not_known_people_are_asked(
    working: Working, client: Client, day: Day, choice: str, became: str
) -> None:
    day.world.healthy = False
    day.down = {"runs"}
    async with working(day.activities()) as queue:
        handle = await begin(client, queue, MorningStartupRequest(), NAME)
        await waiting_for(handle, "decide incident")
        await comes(lambda: len(day.messages()) >= 2, "that people are asked")
        await handle.execute_update("decide", Decision(**ADA, question="incident", choice=choice))
        assert (await handle.result())["incident"] == became
    assert any("People are asked" in text for text in day.messages())


async def test_nobody_answers_and_it_is_started(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    day.service = day.service.model_copy(update={"daily": DailyPolicy(incident="ask")})
    async with working(day.activities()) as queue:
        result = await morning(client, queue)
    assert result["incident"] == "started"
    assert day.rows("SELECT level FROM runbooks.pages") == [(1,)]
    assert result["seconds"] < 600


async def test_a_morning_that_takes_too_long_says_so(working: Working, client: Client, day: Day) -> None:
    day.down = {"slack.post"}
    async with working(day.activities()) as queue:
        handle = await begin(client, queue, MorningStartupRequest(), NAME)
        result = await handle.result()
        assert "takes longer than 0:10:00" in await told(handle)
    assert (result["posted"], result["overall"]) == (False, "GREEN")
