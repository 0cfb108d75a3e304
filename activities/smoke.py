"""Smoke tests of a release: HTTP checks, and a Kubernetes Job (runbook 4.1 step 5)."""

import httpx
from kubernetes import client
from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue import SmokeCheck, SmokeJob
from activities.effects import Change, Effect, effect


class SmokeChecks(BaseModel):
    """All of them are made, each once or, where it fails, a few times."""

    checks: list[SmokeCheck]


class SmokeResult(BaseModel):
    """What they said."""

    passed: int
    failures: list[str] = Field(description="A sentence each: which check, and what came instead.")

    @property
    def ok(self) -> bool:
        """Whether all passed."""
        return not self.failures

    def __str__(self) -> str:
        return "; ".join([f"{self.passed} passed", *self.failures])


class RunSmokeJob(BaseModel):
    """Create the Job and wait for its end."""

    namespace: str
    service: str
    version: str = Field(description="Given to the Job as the environment variable VERSION.")
    job: SmokeJob
    effect: Effect


class SmokeJobResult(Change):
    """How the Job ended."""

    passed: bool
    log: str = Field(default="", description="The end of its pod's log, where it failed.")


class Smoke:
    """Runs smoke tests."""

    def __init__(self, http: httpx.Client, api: client.ApiClient) -> None:
        self._http = http
        self._batch = client.BatchV1Api(api)
        self._core = client.CoreV1Api(api)

    @activity.defn(name="smoke.http")
    def http(self, request: SmokeChecks) -> SmokeResult:
        """Make HTTP checks; a check that fails is a result, not an error."""
        raise NotImplementedError

    @activity.defn(name="smoke.job")
    @effect
    def job(self, request: RunSmokeJob) -> SmokeJobResult:
        """Run a Job to its end, heartbeating; it is named by the effect, so that there is one however often this runs.

        The Job goes by itself an hour after it has finished. Running out of time is a failed test.
        """
        raise NotImplementedError
