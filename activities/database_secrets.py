"""The Kubernetes Secret of the service's DATABASE_URL, and pointing it at another server (runbook 7.1 step 3).

The runbook sets the Deployment's environment. A Secret's content is changed here instead: the next `helm upgrade` or
`rollout undo` would otherwise lead the service back to the failed server. What is in a Secret reaches no history: which
server it points at is told by comparing it with the servers' own Secrets, here.
"""

from pydantic import BaseModel, Field

from activities.effects import Effect


class DatabaseSecretRequest(BaseModel):
    """The service's Secret, and those of the servers it may be equal to."""

    namespace: str
    secret: str
    key: str = "url"
    servers: dict[str, str] = Field(description="Server → its Secret in the same namespace.")


class PointedAt(BaseModel):
    """Which server the service is pointed at."""

    server: str | None = Field(description="None where it is none of them.")

    def __str__(self) -> str:
        return self.server or "none of the servers that settings know"


class PointAt(DatabaseSecretRequest):
    """Give the service's Secret the content of a server's Secret. Pods see it when they are replaced."""

    server: str
    instead_of: str | None = Field(default=None, description="The server it was seen at; refused where it is another.")
    effect: Effect
