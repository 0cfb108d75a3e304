"""`tensafe-admin predeploy check` (runbook 4.1 step 1): tests pass, no open P1 or P2, off-peak hours."""

import asyncio

from pydantic import BaseModel
from temporalio import workflow

from activities.catalogue.service import ReleasePolicy, Service
from activities.records.activities import Records
from activities.records.incidents import OpenIncidents, OpenIncidentsRequest
from activities.releases.ci import Ci, CiRequest, CiStatus
from workflows.deployment.off_peak import off_peak
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook

STOP, OVERRIDE = "stop", "deploy-anyway"


class Predeploy(BaseModel):
    """What was found; None is what could not be read."""

    tests: CiStatus | None
    incidents: OpenIncidents | None
    off_peak: bool

    @property
    def objections(self) -> list[str]:
        """What speaks against deploying now; what isn't known speaks against it too."""
        found = []
        if self.tests is None:
            found.append("CI could not be asked whether the tests passed")
        elif self.tests.verdict != "passed":
            found.append(f"tests: {self.tests}")
        if self.incidents is None:
            found.append("the open incidents could not be read")
        elif self.incidents.items:
            found.append(f"open: {self.incidents}")
        if not self.off_peak:
            found.append("it is not off-peak")
        return found


async def check(run: Runbook, service: Service, policy: ReleasePolicy, version: str) -> Predeploy:
    """Find out all three side by side."""
    tests, incidents = await asyncio.gather(
        run.attempt(
            "4.1/1",
            "Tests of the version",
            Ci.status,
            CiRequest(service=service.name, version=version, repository=policy.repository),
            policies.READ,
        ),
        run.attempt(
            "4.1/1",
            "Open incidents",
            Records.open_incidents,
            OpenIncidentsRequest(service=service.name, severities=["P1", "P2"]),
            policies.READ,
        ),
    )
    quiet = off_peak(policy.off_peak, workflow.now(), service.time_zone)
    return Predeploy(tests=tests, incidents=incidents, off_peak=quiet)


def question(version: str, found: Predeploy, policy: ReleasePolicy) -> Question:
    """Ask whether to deploy all the same; nobody answering means no."""
    return Question(
        id="predeploy",
        title=f"Deploy {version} although {'; '.join(found.objections)}?",
        options={STOP: "don't deploy", OVERRIDE: "deploy all the same, with a reason"},
        recommended=STOP,
        default=STOP,
        kind="deploy",
        evidence=found.objections,
        reason_for=[OVERRIDE],
        timeout=policy.decision_timeout,
    )
