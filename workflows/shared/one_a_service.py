"""One run a service: its workflow ID, by which alerts and people find it (ARCHITECTURE, rule 12).

An alert's run gets its ID from the webhook, a person's from the command line. Only at the Temporal UI somebody chooses
one freely, and alerts would then start a second run beside it. Such a run is refused at once, with the ID to use.
"""

from temporalio import workflow

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook


def require_its_id(run: Runbook, command: str, request: ServiceRequest, service: Service) -> None:
    """Refuse a person's run under an ID that the service's alerts don't have; a plan may have any.

    Raises:
        InvalidInput: says which ID to use.

    """
    known = run.pinned is not None and run.pinned.one_run_a_service
    wanted, has = run_id(command, service.name), workflow.info().workflow_id
    if not known or request.dry_run or request.alert is not None or has == wanted:
        return
    raise InvalidInput(
        f"workflow ID: start it as {wanted!r}, which the alerts of {service.name} join; under {has!r} they would start "
        "a second run beside it. Where that ID is taken, its incident is open already: join it"
    )
