"""Starts a procedure for a person."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from starters.steering.catalogue import new_workflow_id
from starters.steering.errors import Refused
from starters.steering.identity import Person
from starters.steering.session import Session
from workers.registry import Procedure

_ACCEPTED_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True)
class Begun:
    """A run that has been started."""

    workflow_id: str
    run_id: str
    link: str

    @property
    def reference(self) -> str:
        """What names this run and no later one."""
        return f"{self.workflow_id}@{self.run_id}"


async def begin(
    session: Session, procedure: Procedure, request: BaseModel, *, by: Person, origin: str, workflow_id: str | None
) -> Begun:
    """Start it; `origin` says in the Temporal UI from where, for example `the command line`.

    Raises:
        Refused: a run of that workflow ID is open.

    """
    workflow_id = workflow_id or new_workflow_id(procedure)
    try:
        handle = await session.client.start_workflow(
            procedure.workflow_type,
            request,
            id=workflow_id,
            task_queue=session.settings.temporal.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=procedure.title,
            static_details=f"Started from {origin} by {by.who} ({by.role}).",
            rpc_timeout=_ACCEPTED_WITHIN,
        )
    except WorkflowAlreadyStartedError as error:
        raise Refused(f"{workflow_id} runs already: {session.link(workflow_id, error.run_id or '')}") from None
    run_id = handle.result_run_id or ""
    return Begun(workflow_id, run_id, session.link(workflow_id, run_id))
