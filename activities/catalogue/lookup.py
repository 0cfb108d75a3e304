"""Which service a run is about: looked up once, when it begins, and pinned in its history."""

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.service import ApprovalPolicy, Service
from activities.catalogue.workloads import DatabaseUser
from activities.common.errors import UnknownService


class ResolveService(BaseModel):
    """Which service a run is about."""

    service: str | None = Field(default=None, description="Catalogue name; the only service where there is one.")


class Resolved(BaseModel):
    """What settings said when the run began."""

    service: Service
    approvals: ApprovalPolicy
    windows: bool = Field(default=False, description="Maintenance windows are looked at; not in runs from before.")


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
    """Reads the settings' service catalogue; runs as a local activity, so the answer is pinned in history."""

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
            message = f"service: required, since there are several. Known services: {known}"
            raise UnknownService(message)
        if request.service not in self._services:
            message = f"service: {request.service!r} is not in the catalogue. Known services: {known}"
            raise UnknownService(message)
        return self._resolved(self._services[request.service])

    @activity.defn(name="catalogue.users_of_database")
    def users_of_database(self, request: UsersOfDatabase) -> DatabaseUsers:
        """Look up all other services that use a database (7.1, 7.3): what moves it moves them."""
        users = [
            DatabaseUser(
                service=name, namespace=service.namespace, secret=service.database.secret, key=service.database.key,
                servers={server: policy.secret for server, policy in service.database.servers.items()},
                workloads=list(service.all_workloads),
            )
            for name, service in sorted(self._services.items())
            if name != request.besides and service.database and service.database.name == request.database
        ]  # fmt: skip
        return DatabaseUsers(items=users)

    def _resolved(self, service: Service) -> Resolved:
        return Resolved(service=service, approvals=self._approvals, windows=True)
