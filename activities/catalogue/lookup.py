"""Which service a run is about: looked up once, when it begins, and pinned in its history."""

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.service import ApprovalPolicy, Service
from activities.catalogue.workloads import DatabaseUser
from activities.common.errors import UnknownService


class ResolveService(BaseModel):
    """Which service a run is about."""

    service: str | None = Field(default=None, description="Catalogue name; the only service where there is one.")


class Neighbour(BaseModel):
    """Another service of the catalogue, and what the two have in common."""

    service: str
    namespace: str
    deployment: str
    selector: str
    shares: list[str] = Field(description="For example `database tensafe`, `namespace tensafe`; empty: by name alone.")


class Resolved(BaseModel):
    """What settings said when the run began."""

    service: Service
    approvals: ApprovalPolicy
    windows: bool = Field(default=False, description="Maintenance windows are looked at; not in runs from before.")
    one_run_a_service: bool = Field(
        default=False, description="A person's run must have the ID that the service's alerts join; not from before."
    )
    neighbours: list[Neighbour] | None = Field(
        default=None, description="Services that share something with it; None in runs from before, which don't ask."
    )
    takes_over: bool = Field(
        default=False, description="A P1 goes on with the incident of an open P2, under its number; not from before."
    )
    own_ids: bool = Field(
        default=False, description="IDs are made from the run's own, so that a reset keeps them; not from before."
    )


class UsersOfDatabase(BaseModel):
    """Which services use a database."""

    database: str = Field(description="Of the settings' [databases.NAME].")
    besides: str = Field(description="The service that asks.")


class DatabaseUsers(BaseModel):
    """All others, by name."""

    items: list[DatabaseUser]

    def __str__(self) -> str:
        return "; ".join(map(str, self.items)) or "no other service uses it"


class Catalogue:
    """Reads the settings' service catalogue; the answer is pinned in history."""

    def __init__(self, services: dict[str, Service], approvals: ApprovalPolicy) -> None:
        self._services = {name: s.model_copy(update={"name": name}) for name, s in services.items()}
        self._approvals = approvals

    @activity.defn(name="catalogue.resolve")
    def resolve(self, request: ResolveService) -> Resolved:
        """Look a service up.

        Raises:
            UnknownService: no such service, or none named where there are several; lists the known ones.

        """
        known = ", ".join(sorted(self._services)) or "none: add [services.NAME] to runbooks.toml"
        if request.service is None:
            if len(self._services) == 1:
                return self._resolved(next(iter(self._services.values())))
            raise UnknownService(f"service: required, since there are several. Known services: {known}")
        if request.service not in self._services:
            raise UnknownService(f"service: {request.service!r} is not in the catalogue. Known services: {known}")
        return self._resolved(self._services[request.service])

    @activity.defn(name="catalogue.users_of_database")
    def users_of_database(self, request: UsersOfDatabase) -> DatabaseUsers:
        """Look up all other services that use a database (7.1, 7.3): what moves it moves them."""
        users = [
            DatabaseUser(
                service=name,
                namespace=service.namespace,
                secret=service.database.secret,
                key=service.database.key,
                servers={server: policy.secret for server, policy in service.database.servers.items()},
                workloads=list(service.all_workloads),
                poolers=list(service.database.poolers),
            )
            for name, service in sorted(self._services.items())
            if name != request.besides and service.database and service.database.name == request.database
        ]
        return DatabaseUsers(items=users)

    def _resolved(self, service: Service) -> Resolved:
        others = [one for name, one in sorted(self._services.items()) if name != service.name]
        return Resolved(
            service=service,
            approvals=self._approvals,
            windows=True,
            one_run_a_service=True,
            takes_over=True,
            own_ids=True,
            neighbours=[_neighbour(service, other) for other in others],
        )


def _neighbour(service: Service, other: Service) -> Neighbour:
    """Say what two services share by their settings; that they run on one node is seen only when one looks."""
    shares = []
    if service.database is not None and other.database is not None and service.database.name == other.database.name:
        shares.append(f"database {service.database.name}")
    if service.namespace == other.namespace:
        shares.append(f"namespace {service.namespace}")
    needs = service.degradation.dependencies
    same = [
        name
        for name, part in other.degradation.dependencies.items()
        if name in needs
        and (part.health_url, part.condition) == (needs[name].health_url, needs[name].condition)
        and (part.health_url or part.condition)
    ]
    return Neighbour(
        service=other.name,
        namespace=other.namespace,
        deployment=other.deployment,
        selector=other.selector,
        shares=[*shares, *(f"dependency {name}" for name in same)],
    )
