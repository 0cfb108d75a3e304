"""A P1 incident that another run starts: under the ID of the service's one P1 run, and knowing what was taken."""

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.monitoring.runs import Runs, TakenRequest
from activities.records.alerts import EPISODES_KEPT, Alert
from workflows.incident_response.incident_run import TITLE
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform import policies
from workflows.platform.resets import started_before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.continued import p1_run_id
from workflows.shared.incident import Incident


async def start_p1(run: Runbook, section: str, request: P1Request, service: str) -> bool:
    """Start P1 incident response, which goes on whatever becomes of this run; False where the service has a P1 run.

    Firings that this run took, or an earlier P1 run of the service, begin nothing anew once the P1 has ended: the
    webhook reads them in its memo.
    """
    workflow_id = p1_run_id(service)
    episodes = run.handed_on["episodes"]
    # A run from before this knows of no such step.
    if workflow.patched("raised-knows-what-was-taken"):
        asked = TakenRequest(workflow_id=workflow_id)
        before = await run.attempt(section, "Alerts that the last P1 took", Runs.taken, asked, policies.READ)
        episodes = list(dict.fromkeys([*(before.episodes if before else []), *episodes]))[-EPISODES_KEPT:]
    if await started_before_reset(run, section, workflow_id):
        return True
    try:
        await workflow.start_child_workflow(
            P1Incident.run,
            request,
            id=workflow_id,
            # Begun, it goes on, whatever becomes of this run.
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
            memo={**run.began, **({"episodes": episodes} if episodes else {})},
            static_summary=f"P1 of {service}: {request.title}"[:TITLE],
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def go_on_as_p1(
    run: Runbook, section: str, incident: Incident, why: str, *, alert: Alert | None, joined: list[Alert]
) -> bool:
    """Start the P1 that goes on with a run's own incident; False where the service has a P1 run."""
    service = incident.service.name
    request = P1Request(
        service=service,
        title=run.title[:TITLE],
        commander=incident.commander or None,
        alert=alert,
        joined=joined,
        requested_by=run.actor,
        continues=incident.so_far(why[:2000]),
    )
    return await start_p1(run, section, request, service)
