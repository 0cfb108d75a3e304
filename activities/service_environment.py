"""Which Secret a Deployment's environment variable comes from, and pointing it at another one (runbook 7.1 step 3)."""

from pydantic import BaseModel, Field

from activities.effects import Effect


class EnvironmentRequest(BaseModel):
    """One environment variable of a Deployment's container."""

    namespace: str
    deployment: str
    container: str | None = Field(default=None, description="The only one where there is one.")
    variable: str = "DATABASE_URL"


class SecretReference(BaseModel):
    """Where its value comes from; both are None where it is a literal or isn't there."""

    secret: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        return f"secret/{self.secret} ({self.key})" if self.secret else "not from a Secret"


class PointEnvironment(EnvironmentRequest):
    """`kubectl set env`, but from a Secret: no URL reaches history. The pods are replaced by it."""

    secret: str
    key: str
    instead_of: str | None = Field(default=None, description="The Secret it was seen at; refused where it is another.")
    effect: Effect
