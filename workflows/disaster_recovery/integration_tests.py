"""Integration tests of a recovered service (runbook 7.2 step 5): `tensafe-admin test integration --env production`."""

from datetime import timedelta

from activities.catalogue import Service
from activities.smoke import RunSmokeJob, Smoke, SmokeChecks
from workflows.shared import policies
from workflows.shared.runbook import Runbook

_TRIES = 3


async def failing(run: Runbook, service: Service, version: str) -> list[str]:
    """Run those that settings name; gives a sentence for each that failed. In plan mode the Job is only tried."""
    policy = service.recovery
    if not policy.tests and policy.test_job is None:
        run.say("problem", "Settings name no integration tests (recovery.tests, recovery.test_job)", section="7.2/5")
    return [*await _checks(run, service), *await _job(run, service, version)]


async def _checks(run: Runbook, service: Service) -> list[str]:
    tests = service.recovery.tests
    if not tests or run.dry_run:
        return []
    lasting = policies.WAIT.lasting(sum((_TRIES * test.timeout for test in tests), start=timedelta(seconds=10)))
    found = await run.attempt("7.2/5", "Integration tests", Smoke.http, SmokeChecks(checks=list(tests)), lasting)
    return ["the integration tests could not be run"] if found is None else found.failures


async def _job(run: Runbook, service: Service, version: str) -> list[str]:
    job = service.recovery.test_job
    if job is None:
        return []
    request = RunSmokeJob(
        namespace=service.namespace, service=service.name, version=version, job=job, effect=run.effect("test-job")
    )
    ended = await run.attempt(
        "7.2/5", "Integration tests' Job", Smoke.job, request, policies.WAIT.lasting(job.timeout)
    )  # fmt: skip
    if ended is None:
        return ["the integration tests' Job could not be run"]
    return [] if ended.passed else [f"the integration tests' Job: {ended}"]
