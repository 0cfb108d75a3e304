"""What a service consists of in its cluster, and who else uses its database (runbook 7).

`deployment` of a service is the short form of one workload, the primary one.
"""

from pydantic import BaseModel, ConfigDict, Field

from activities.common.text import Key, Name
from activities.common.workloads import WorkloadKind


class WorkloadPolicy(BaseModel):
    """One workload of a service. The primary one is what is released, rolled back and scaled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: WorkloadKind = Field(default="Deployment", description="Of Kubernetes.")
    name: Key = Field(description="In the service's namespace.")
    primary: bool = Field(default=False, description="One of them, a Deployment, is.")

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class DatabaseUser(BaseModel):
    """A service that uses a database, as far as a change of the database's server is about it."""

    service: Name
    namespace: Key
    secret: Key
    key: Key
    servers: dict[Key, Key] = Field(description="Server → its Secret in the service's namespace.")
    workloads: list[WorkloadPolicy]
    poolers: list[Key] = Field(default_factory=list, description="That it uses.")

    def __str__(self) -> str:
        return f"{self.service} ({', '.join(map(str, self.workloads))} in {self.namespace})"
