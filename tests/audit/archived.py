"""Runs of the archive, each unlike the others in one thing."""

from audit.story import Effect, RunIdentity, Step, Story, Trigger
from tests.audit.stories import BEGAN, story


def touching(*targets: str) -> list[Step]:
    return [
        Step(
            event_id=number,
            section="4.2",
            title="t",
            activity="kubernetes.scale",
            scheduled_at=BEGAN,
            outcome="completed",
            effect=Effect(key=f"k{number}", target=target),
        )
        for number, target in enumerate(targets)
    ]


CASES: dict[int, Story] = {
    1: story(1, severity="P1", incident_id="INC-1", status="failed", outcome=""),
    2: story(2, run=RunIdentity(workflow_id="wf-2", run_id="run-2", workflow_type="P1Incident"), tenant="acme"),
    3: story(3, steps=touching("deployment/tensafe-server", "hpa/other")),
    4: story(4, service="billing", trigger=Trigger(kind="person", by="bob@tensafe.io")),
    5: story(5, parent=RunIdentity(workflow_id="wf-1", run_id="run-1"), first_run_id="run-4"),
}
