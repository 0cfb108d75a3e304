"""Every kind of hold that a run writes on what it holds: where it may be, who has it, and how it is given back.

This is the one list of them. What ends by itself isn't in it: a silence of Alertmanager, a customer's old API key,
the mark of a rotation of credentials, which keeps nobody but another rotation away, and a lock of the records, which
goes with its connection. Nor is what only a person may let go: what a security incident isolates or cordons, and a
database that is closed to its writers, of which nobody but the next restore or failover can tell whether it is a copy
that must stay closed.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AwareDatetime, BaseModel, Field

from activities.addresses.blocks import Blocks, UnblockAddresses
from activities.autoscaling.autoscalers import Autoscalers, Kind, ReleaseAutoscaler
from activities.catalogue.service import Service
from activities.certificates.secrets import LetRenewalGo, SecretName, TlsSecrets
from activities.common.effects import Change, Effect
from activities.common.text import Key, Name, ToldLine
from activities.common.times import Time
from activities.customers.interventions import CloseIntervention, Interventions
from activities.kubernetes.database_secrets import DatabaseSecrets, ReleaseSecret
from activities.kubernetes.deployments import Deployments
from activities.kubernetes.workload_holds import GiveWorkloadBack, WorkloadAt, WorkloadHolds
from activities.records.windows import EndWindow, MaintenanceWindows
from libraries import kubernetes

if TYPE_CHECKING:
    from activities.kubernetes.run_marks import RunMark


class Place(BaseModel):
    """What a hold may be on."""

    service: Name
    channel: Key = Field(description="Of the service: where its people are told.")
    namespace: Key = ""
    name: Key = Field(description="Of an object of the cluster; empty where the records are looked through.")


class Hold(Place):
    """What is held."""

    kind: Key
    run: ToldLine = Field(description="Workflow ID of the run that holds it.")
    first_run: Key = Field(default="", description="First run ID of that run's chain, where the mark says it.")
    lease: ToldLine = ""
    until: Annotated[AwareDatetime, Time(made_fit=True)]
    at_once: bool = Field(default=False, description="Given back when its run is gone, and not only at its end.")

    @property
    def place(self) -> Place:
        """Where to look for it again."""
        name = self.name if self.namespace else ""
        return Place(service=self.service, channel=self.channel, namespace=self.namespace, name=name)

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}, held by {self.run} until {self.until:%Y-%m-%d %H:%M:%S} UTC"


class HeldKind(Protocol):
    """One kind. Raises `NotFound` where the place is not there, and what its system raises."""

    kind: str

    def places(self) -> Iterator[Place]:
        """Give where to look: what settings name."""

    def held(self, place: Place) -> list[Hold]:
        """Read what is held there, also what is past its time."""

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Give it back as its run would have done; not applied where that is done already."""


class PausedAutoscalers:
    """KEDA's pause, and the raised minimum of an HPA, which keeps an emergency's replicas (3.2, 2.3, 7.3)."""

    def __init__(self, kind: Kind, autoscalers: Autoscalers, services: Mapping[str, Service]) -> None:
        self.kind: str = kind
        self._kind: Kind = kind
        self._autoscalers = autoscalers
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give the services' ScaledObjects or HPAs."""
        for name, service in self._services.items():
            of = service.scaled_object if self.kind == "ScaledObject" else service.hpa
            if of is not None:
                yield _place(name, service, of)

    def held(self, place: Place) -> list[Hold]:
        """Read its mark."""
        mark = self._autoscalers.marked(place.namespace, self._kind, place.name)
        if mark is None:
            return []
        # The lease's name is the key of the effect that took it.
        first_run = mark.lease.removeprefix(f"{mark.workflow_id}/").partition("/")[0]
        return [
            Hold(
                **place.model_dump(),
                kind=self.kind,
                run=mark.workflow_id,
                first_run=first_run,
                lease=mark.lease,
                until=mark.until,
            )
        ]

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Resume it, unless somebody else has changed it meanwhile."""
        request = ReleaseAutoscaler(
            namespace=hold.namespace, kind=self._kind, name=hold.name, lease=hold.lease, effect=effect
        )
        return self._autoscalers.release(request)


class StoppedDeployments:
    """A Deployment without replicas, so that nobody writes (7.3)."""

    kind = "Deployment"

    def __init__(self, api: "kubernetes.ApiClient", services: Mapping[str, Service]) -> None:
        self._deployments = Deployments(kubernetes.AppsV1Api(api))
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give the services' Deployments."""
        return (_place(name, service, service.deployment) for name, service in self._services.items())

    def held(self, place: Place) -> list[Hold]:
        """Read its mark."""
        return _marked(self.kind, place, self._deployments.marked(place.namespace, place.name))

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Bring it back with the replicas it had, as the run does when it is cancelled."""
        return self._deployments.let_go(hold.namespace, hold.name, _as_its_run(hold, effect))


class StoppedWorkloads:
    """What a service consists of beside its Deployment, stopped with it (7.1, 7.3)."""

    kind = "workload"

    def __init__(self, holds: WorkloadHolds, services: Mapping[str, Service]) -> None:
        self._holds = holds
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give the services' other workloads, as `StatefulSet/NAME`."""
        for name, service in self._services.items():
            yield from (_place(name, service, f"{one.kind}/{one.name}") for one in service.other_workloads)

    def held(self, place: Place) -> list[Hold]:
        """Read its mark."""
        return _marked(self.kind, place, self._holds.marked(_workload(place)))

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Let it be what it was, unless somebody has changed it meanwhile."""
        at = _workload(hold).model_dump()
        return self._holds.give_back(GiveWorkloadBack(**at, effect=_as_its_run(hold, effect)))


class HeldDatabaseSecrets:
    """The Secret that says where a service's data is, and a spare's that has a damaged copy (7.1, 7.3)."""

    kind = "database Secret"

    def __init__(self, secrets: DatabaseSecrets, services: Mapping[str, Service]) -> None:
        self._secrets = secrets
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give the services' Secrets, and those of their spares."""
        for name, service in self._services.items():
            if service.database is not None:
                spares = [server.secret for server in service.database.servers.values() if server.spare]
                yield from (_place(name, service, secret) for secret in (service.database.secret, *spares))

    def held(self, place: Place) -> list[Hold]:
        """Read its mark."""
        return _marked(self.kind, place, self._secrets.marked(place.namespace, place.name))

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Let others change it; where the data is stays as it is."""
        return self._secrets.release(
            ReleaseSecret(namespace=hold.namespace, secret=hold.name, effect=_as_its_run(hold, effect))
        )


class HeldTlsSecrets:
    """A certificate that is being renewed (6.3)."""

    kind = "TLS Secret"

    def __init__(self, secrets: TlsSecrets, services: Mapping[str, Service]) -> None:
        self._secrets = secrets
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give the Secrets that runs renew themselves."""
        for name, service in self._services.items():
            acme = service.certificates.acme if service.certificates is not None else None
            for secret in acme.secrets if acme is not None else ():
                namespace, _, of = secret.rpartition("/")
                yield _place(name, service, of).model_copy(update={"namespace": namespace or service.namespace})

    def held(self, place: Place) -> list[Hold]:
        """Read its mark."""
        mark = self._secrets.marked(SecretName(namespace=place.namespace, name=place.name))
        return _marked(self.kind, place, mark)

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Let others renew it; a key that waits for its certificate is forgotten, as the run itself would do."""
        return self._secrets.release(
            LetRenewalGo(namespace=hold.namespace, name=hold.name, effect=_as_its_run(hold, effect))
        )


class OpenWindows:
    """A maintenance window in the records (6.1)."""

    kind = "maintenance window"

    def __init__(self, windows: MaintenanceWindows, services: Mapping[str, Service]) -> None:
        self._windows = windows
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give each service: its windows are in the records."""
        return (Place(service=name, channel=service.channel, name="") for name, service in self._services.items())

    def held(self, place: Place) -> list[Hold]:
        """Read the windows that have not ended."""
        return [
            Hold(
                **place.model_dump(exclude={"name"}),
                name=window.window_id,
                kind=self.kind,
                run=window.workflow_id,
                until=window.held_until,
            )
            for window in self._windows.open(place.service)
        ]

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """End it."""
        outcome = f"its run {hold.run} was no longer running: look whether the public page still announces it"
        return self._windows.end(
            EndWindow(window_id=hold.name, status="cancelled", at=hold.until, outcome=outcome, effect=effect)
        )


class BlockedAddresses:
    """Addresses that are blocked for a time (8.1)."""

    kind = "blocked addresses"

    def __init__(self, blocks: Blocks, services: Mapping[str, Service]) -> None:
        self._blocks = blocks
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give each service that has places for it: the blocks are in the records."""
        for name, service in self._services.items():
            if service.security.blocks is not None:
                yield Place(service=name, channel=service.security.channel, name="")

    def held(self, place: Place) -> list[Hold]:
        """Read the blocks that have not ended, of each incident."""
        return [
            Hold(
                **place.model_dump(exclude={"name"}),
                name=block.incident_id,
                kind=self.kind,
                run=block.workflow_id,
                until=block.until,
            )
            for block in self._blocks.open(place.service)
        ]

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Take out of the lists what is over, unless somebody else has it there."""
        service = self._services[hold.service]
        assert service.security.blocks is not None  # it is one of `places`
        request = UnblockAddresses(
            service=hold.service,
            namespace=service.namespace,
            policy=service.security.blocks,
            incident_id=hold.name,
            effect=effect,
        )
        return self._blocks.give_back(request)


class OpenInterventions:
    """What is being done about a tenant who may leave (5.3): while it is open, none is begun for that tenant."""

    kind = "intervention"

    def __init__(self, interventions: Interventions, services: Mapping[str, Service]) -> None:
        self._interventions = interventions
        self._services = services

    def places(self) -> Iterator[Place]:
        """Give one: tenants are the company's, and the first service speaks for them."""
        for name, service in islice(self._services.items(), 1):
            yield Place(service=name, channel=service.channel, name="")

    def held(self, place: Place) -> list[Hold]:
        """Read those that are not closed."""
        longest = max(service.customers.churn.give_up_after for service in self._services.values())
        return [
            Hold(
                **place.model_dump(exclude={"name"}),
                name=one.tenant_id,
                kind=self.kind,
                run=one.workflow_id,
                first_run=one.effect_key.removeprefix(f"{one.workflow_id}/").partition("/")[0],
                lease=one.effect_key,
                until=one.opened_at + longest,
                at_once=True,
            )
            for one in self._interventions.living()
        ]

    def give_back(self, hold: Hold, effect: Effect) -> Change:
        """Close it, as its run does when it is cancelled."""
        request = CloseIntervention(
            tenant_id=hold.name,
            opened_by="",
            opening=hold.lease,
            outcome="its run was no longer running",
            closed_at=datetime.now(UTC),
            effect=effect,
        )
        return self._interventions.close(request)


def _workload(place: Place) -> WorkloadAt:
    kind, _, name = place.name.partition("/")
    return WorkloadAt.model_validate({"namespace": place.namespace, "kind": kind, "name": name})


def _place(name: str, service: Service, of: str) -> Place:
    return Place(service=name, channel=service.channel, namespace=service.namespace, name=of)


def _marked(kind: str, place: Place, mark: "RunMark | None") -> list[Hold]:
    return [Hold(**place.model_dump(), kind=kind, run=mark.run, until=mark.until)] if mark is not None else []


def _as_its_run(hold: Hold, effect: Effect) -> Effect:
    """Give the effect in the name of the run that holds it: nobody else may let go. The actor says who does it."""
    return effect.model_copy(update={"workflow_id": hold.run})
