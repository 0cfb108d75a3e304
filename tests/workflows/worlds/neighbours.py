"""The world of several services that share a database or a namespace: one state of health for all of them."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from activities.kubernetes.cluster import PodsRequest
from activities.kubernetes.states import Pods
from activities.monitoring.health import Health, HealthRequest
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    OpenIncident,
    OpenIncidents,
    OpenIncidentsRequest,
)
from tests.workflows.worlds.pointed import Pointed, a_database
from tests.workflows.worlds.world import instead

DEPENDENCY = "http://127.0.0.1:1/payments"


class Neighbours(Pointed):
    """`api`, `billing` and `search`; what they have in common is said by each service's fields."""

    def __init__(self, *, database: bool = False, **services: dict[str, Any]) -> None:
        super().__init__()
        shared = {"database": a_database("primary", "replica-1")} if database else {}
        self.services = {
            name: Service(
                **{
                    **self.service.model_dump(exclude={"name", "deployment", "selector", "metrics"}),
                    "deployment": name,
                    "selector": f"app={name}",
                    **shared,
                    **fields,
                }
            )
            for name, fields in services.items()
        }
        self.database_down = False
        self.dependency_down = False
        self.nodes: dict[str, str] = {}
        """Where the pods of a service are."""

    def activities(self) -> list[Callable[..., Any]]:
        world, plain = self, super().activities()
        pods_of = {activity._Definition.must_from_callable(one).name: one for one in plain}["kubernetes.pods"]

        @activity.defn(name="postgres.health")
        def health(request: DatabaseHealthRequest) -> DatabaseHealth:
            assert world.database_down
            world.down.add("postgres")
            world._up("postgres.health")
            raise AssertionError

        @activity.defn(name="health.check")
        def check(request: HealthRequest) -> Health:
            well = not world.dependency_down if request.url == DEPENDENCY else world.healthy
            return Health(status="healthy" if well else "unhealthy", milliseconds=1)

        @activity.defn(name="kubernetes.pods")
        def pods(request: PodsRequest) -> Pods:
            node = world.nodes.get(request.selector.removeprefix("app="), "")
            found: Pods = pods_of(request)
            return Pods(items=[pod.model_copy(update={"node": node}) for pod in found.items])

        @activity.defn(name="records.create_incident")
        def create(request: CreateIncident) -> Change:
            if applied := world._done("records.create_incident", request):
                world.incidents.append(
                    OpenIncident(
                        incident_id=request.incident_id,
                        severity=request.severity,
                        title=request.title,
                        status="open",
                        opened_at=request.opened_at,
                        workflow_id=request.effect.workflow_id,
                        commander=request.commander,
                        service=request.service,
                    )
                )
            return Change(target=request.incident_id, after="open", applied=applied)

        @activity.defn(name="records.close_incident")
        def close(request: CloseIncident) -> Change:
            applied = world._done("records.close_incident", request)
            world.incidents = [one for one in world.incidents if one.incident_id != request.incident_id]
            return Change(target=request.incident_id, after="closed", applied=applied)

        @activity.defn(name="records.open_incidents")
        def open_incidents(request: OpenIncidentsRequest) -> OpenIncidents:
            world._up("records.open_incidents")
            asked = {request.service, *request.others}
            return OpenIncidents(
                items=[one for one in world.incidents if one.service in asked and one.severity in request.severities]
            )

        catalogue = Catalogue(self.services, self.approvals).resolve
        return instead(plain, catalogue, health, check, pods, create, close, open_incidents)
