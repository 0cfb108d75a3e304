"""Is what was brought back good: each component, then all of it (runbook 7.2 steps 4 and 5)."""

from datetime import timedelta

from activities.catalogue.service import Service
from activities.releases.smoke import RunSmokeJob, Smoke, SmokeChecks
from workflows.disaster_recovery.recovery import components
from workflows.disaster_recovery.recovery.beside import Beside
from workflows.disaster_recovery.recovery.retry_or_stop import GO_ON, STOP, RetryOrStop
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_TRIES = 3


class Proof:
    """Whether the service was found good; people may go on in spite of it, with a reason."""

    def __init__(self, run: Runbook, service: Service, ways: RetryOrStop, beside: Beside) -> None:
        self.run = run
        self.service = service
        self.ways = ways
        self.beside = beside
        self.trouble = ""
        """What speaks against it now; with it, traffic is not brought back by itself."""

    async def give(self, restarted: list[str], version: str) -> bool:
        """Look, and test; False where people say to stop."""
        for phase, what in (("Verify each component", "component"), ("Integration tests", "tests")):
            self.run.phase(phase)
            while True:
                found = await self._look(what, restarted, version)
                self.trouble = "; ".join(found)
                if not self.trouble:
                    break
                self.run.say("problem", self.trouble, section=self.run.SECTION)
                way = await self.ways.choose(
                    what,
                    self.trouble,
                    retry="look again",
                    go_on="go on: traffic comes back in spite of it",
                    stop="stop before traffic comes back, and leave it to people",
                )
                if way == STOP:
                    return False
                if way == GO_ON:
                    self.trouble = ""
                    break
        return True

    async def _look(self, what: str, restarted: list[str], version: str) -> list[str]:
        if what == "tests":
            return await failing(self.run, self.service, version)
        if self.run.dry_run:
            self.run.say("decision", f"would look at {', '.join(restarted)} and the components", section="7.2/4")
            return []
        return [*await components.ailing(self.run, self.service, restarted), *await self.beside.ailing()]


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
    ended = await run.attempt("7.2/5", "Integration tests' Job", Smoke.job, request, policies.WAIT.lasting(job.timeout))
    if ended is None:
        return ["the integration tests' Job could not be run"]
    return [] if ended.passed else [f"the integration tests' Job: {ended}"]
