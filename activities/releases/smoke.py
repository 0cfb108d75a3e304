"""`tensafe-admin test smoke` and `tensafe-admin test integration`: HTTP checks, and a Job (runbook 4.1, 7.2 step 5)."""

import time
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.smoke import SmokeCheck, SmokeJob
from activities.common.effects import Change, Effect, effect
from activities.common.heartbeat import pause
from activities.common.http import read_body
from activities.releases import smoke_job
from audit.text import counted
from libraries import httpx

if TYPE_CHECKING:
    from libraries import kubernetes

_TRIES = 3
_PAUSE = 0.5
_BODY_BYTES = 1024 * 1024


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

    def __init__(self, http: "httpx.Client", api: "kubernetes.ApiClient") -> None:
        self._http = http
        self._jobs = smoke_job.Jobs(api)

    @activity.defn(name="smoke.http")
    def http(self, request: SmokeChecks) -> SmokeResult:
        """Make HTTP checks; a check that fails is a result, not an error.

        One that fails is made twice more, half a second apart. Redirects are answers, and not followed; of a body
        the first MiB is read.
        """
        failures = [failure for check in request.checks if (failure := self._failure(check))]
        return SmokeResult(passed=len(request.checks) - len(failures), failures=failures)

    @activity.defn(name="smoke.job")
    @effect
    def job(self, request: RunSmokeJob) -> SmokeJobResult:
        """Run a Job to its end, heartbeating; it is named by the effect, so that there is one however often this runs.

        The Job goes by itself an hour after it has finished. Running out of time is a failed test. A cancellation
        deletes the Job.

        Raises:
            Unavailable, RateLimited: the API server does not take the Job, or did not answer in all the time.
            NotFound, Refused: there is no such namespace, the Job may not be created, or its name is taken.

        """
        manifest = smoke_job.manifest(request.service, request.version, request.job, request.effect)
        name = manifest["metadata"]["name"]
        target = f"job/{name}"
        with self._jobs.deleted_when_cancelled(request.namespace, name):
            created = self._jobs.create(request.namespace, manifest, request.effect)
            if request.effect.dry_run:
                note = "plan only: the API server would accept it"
                return SmokeJobResult(target=target, after="would run", applied=False, note=note, passed=True)
            end = self._jobs.wait(request.namespace, name, request.job.timeout)
        return SmokeJobResult(
            target=target,
            after="passed" if end.passed else f"failed: {end.reason}",
            applied=created,
            note="" if created else "created by an earlier attempt",
            passed=end.passed,
            log="" if end.passed else self._jobs.log(request.namespace, name),
        )

    def _failure(self, check: SmokeCheck) -> str:
        """Tell why a check failed, after its last try; empty where one passed."""
        failure = ""
        for attempt in range(_TRIES):
            if attempt:
                pause(_PAUSE)
            if not (failure := self._try(check)):
                return ""
        return f"{check.name}: {failure}"

    def _try(self, check: SmokeCheck) -> str:
        limit = check.timeout.total_seconds()
        deadline = time.monotonic() + limit
        try:
            with self._http.stream(check.method, check.url, timeout=limit, follow_redirects=False) as answer:
                body = read_body(answer, most=_BODY_BYTES, deadline=deadline)
                text = body.decode(answer.encoding or "utf-8", errors="replace")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            got = f"no answer in {limit:g} s" if isinstance(error, httpx.TimeoutException) else type(error).__name__
            return f"expected HTTP {check.expect_status}, got {got}"
        if answer.status_code != check.expect_status:
            return f"expected HTTP {check.expect_status}, got HTTP {answer.status_code}"
        if check.contains is not None and check.contains not in text:
            return f"expected {check.contains!r} in the body, got {counted(len(text), 'character')} without it"
        return ""
