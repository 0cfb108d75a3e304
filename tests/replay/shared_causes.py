"""The incidents that have something in common with others' whose histories are kept (runbook 2.2, 7.2)."""

from datetime import UTC, datetime, timedelta

from activities.catalogue.service import IncidentPolicy, Service
from activities.records.incidents import OpenIncident
from tests.replay.cases import ALERT, Case, Handle, waiting
from tests.workflows.worlds.neighbours import Neighbours
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform.approval import Decision
from workflows.shared.shared_causes import RELATED, Related

ADA = {"who": "ada", "role": "commander"}


def neighbours() -> Neighbours:
    policy = IncidentPolicy(decision_timeout=timedelta(hours=1))
    return Neighbours(database=True, api={"incident": policy}, billing={}, search={"namespace": "search"})


def the_database_is_down(world: Neighbours) -> None:
    world.database_down = True
    world.break_down()
    world.incidents.append(
        OpenIncident(
            incident_id="INC-gone",
            severity="P1",
            title="billing is down",
            status="open",
            workflow_id="gone",
            opened_at=datetime(2026, 2, 4, 3, tzinfo=UTC),
            service="billing",
            commander="bob",
        )
    )


async def hears_of_another_and_closes(handle: Handle, world: Neighbours) -> None:
    await waiting(handle, "decide mitigation-1")
    related = Related(
        incident_id="INC-search", service="search", severity="P1", title="search is down", shares=["database tensafe"]
    )
    await handle.signal(RELATED, related)
    world.cure("restart")
    await handle.execute_update("decide", Decision(**ADA, question="mitigation-1", choice="none"))
    await waiting(handle, "close")
    closing = Closing(**ADA, resolution="The database is back", root_cause="Its primary had failed")
    await handle.execute_update(P1Incident.close, closing)


def outage() -> Outage:
    world = Outage().broken()
    where = {"namespace": "tensafe", "deployment": "gateway", "selector": "app=gateway"}
    world.others["gateway"] = Service(health_url="http://127.0.0.1:1/gateway", **where)
    return world


async def lets_them_alone(handle: Handle, world: Outage) -> None:
    await waiting(handle, "decide others")
    await handle.execute_update("decide", Decision(**ADA, question="others", choice="own"))


CASES: dict[str, Case] = {
    "p1_incident-database-down": Case(
        P1Request(service="api", alert=ALERT), hears_of_another_and_closes, the_database_is_down, neighbours
    ),
    "full_service_recovery-beside-others": Case(
        FullServiceRecoveryRequest(service="tensafe-server"), lets_them_alone, world=outage
    ),
}
