"""Whether the tests of a version passed, as the CI service tells (runbook 4.1 step 1)."""

from typing import Literal, Protocol

from pydantic import BaseModel, Field
from temporalio import activity

Verdict = Literal["passed", "failed", "running", "unknown"]


class CiRequest(BaseModel):
    """Which version of what."""

    service: str
    version: str
    repository: str | None = Field(default=None, description="owner/name, for backends that need one.")


class CiStatus(BaseModel):
    """What CI says of a version."""

    verdict: Verdict
    detail: str = Field(default="", description="What failed or still runs, as CI names it.")
    url: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}{': ' + self.detail if self.detail else ''}{' ' + self.url if self.url else ''}"


class CiService(Protocol):
    """Where CI's results are: our records, or GitHub."""

    def status(self, request: CiRequest) -> CiStatus:
        """Give what is known of the version; `unknown` where nothing is."""


class Ci:
    """Asks CI; raises `Unavailable`, `RateLimited`, `Refused`, `Misconfigured`."""

    def __init__(self, service: CiService) -> None:
        self._service = service

    @activity.defn(name="ci.status")
    def status(self, request: CiRequest) -> CiStatus:
        """Tell whether the tests of the version passed."""
        return self._service.status(request)
