"""Starts a procedure for a person."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel
from temporalio.client import WorkflowExecutionDescription
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.monitoring.runs import dealt_with
from starters.steering.catalogue import new_workflow_id, one_of_a_service
from starters.steering.errors import Refused
from starters.steering.gateway import Gateway
from starters.steering.identity import Person
from starters.steering.listing import STARTED_BY
from starters.steering.priority import priority
from starters.steering.session import Session
from workers.registry import Procedure
from workflows.platform.search_attributes import INCIDENT
from workflows.platform.signing import STARTED, Started

_ACCEPTED_WITHIN = timedelta(seconds=10)
START_KEY = "start_key"
"""Memo of what a run was started by, where that may come twice: a form that is sent again starts nothing."""


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
    session: Session,
    procedure: Procedure,
    request: BaseModel,
    *,
    by: Person,
    origin: str,
    workflow_id: str | None,
    key: str = "",
) -> Begun:
    """Start it; `origin` says in the Temporal UI from where, for example `the command line`.

    With a `key` that the last run of the same workflow ID was started by, it gives that run, and starts none.

    A procedure of which a service has one run at a time gets that run's ID, which its alerts have too. A plan changes
    nothing, so it is a run of its own.

    Raises:
        Refused: a run of that workflow ID is open; says which incident it has. Or it may not have that ID.
        SettingsError: the gateway's key is not one.

    """
    its_own = one_of_a_service(procedure, request, session.settings)
    if workflow_id and its_own and workflow_id != its_own:
        # The run itself would refuse it: alerts would start a second one beside it.
        raise Refused(f"{procedure.command} of this service has the workflow ID {its_own}: leave --id out")
    workflow_id = workflow_id or its_own or new_workflow_id(procedure)
    last = await _last(session, workflow_id) if procedure.one_a_service or key else None
    if last and key and await last.memo_value(START_KEY, "") == key:
        return Begun(workflow_id, last.run_id, session.link(workflow_id, last.run_id))
    before = await dealt_with(last) if last and procedure.one_a_service else []
    try:
        handle = await session.client.start_workflow(
            procedure.workflow_type,
            request,
            id=workflow_id,
            task_queue=session.settings.temporal.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            priority=priority(procedure, getattr(request, "service", None)),
            # What the alerts' runs have taken stays taken, whoever starts the next one.
            memo={
                STARTED_BY: by.who,
                **({"episodes": before} if before else {}),
                **({START_KEY: key} if key else {}),
                **_started(session, workflow_id, by),
            },
            static_summary=procedure.title,
            static_details=f"Started from {origin} by {by.who} ({by.role}).",
            rpc_timeout=_ACCEPTED_WITHIN,
        )
    except WorkflowAlreadyStartedError as error:
        open_now = await _last(session, workflow_id) if key else None
        if open_now and await open_now.memo_value(START_KEY, "") == key:
            return Begun(workflow_id, open_now.run_id, session.link(workflow_id, open_now.run_id))
        raise Refused(await _open_already(session, workflow_id, error.run_id or "")) from None
    run_id = handle.result_run_id or ""
    return Begun(workflow_id, run_id, session.link(workflow_id, run_id))


def _started(session: Session, workflow_id: str, by: Person) -> dict[str, object]:
    """Give the gateway's word for who starts; nothing where there is no gateway."""
    gateway = Gateway(session.settings.gateway)
    if not gateway.signs:
        return {}
    word = Started(who=by.who, role=by.role)
    return {STARTED: gateway.signed(word, workflow_id=workflow_id, run_id="").model_dump(mode="json")}


async def _open_already(session: Session, workflow_id: str, run_id: str) -> str:
    described = await _last(session, workflow_id)
    incident = described.typed_search_attributes.get(INCIDENT) if described else None
    has = f" and has incident {incident}: join it with `runbooks status {incident}`, `note`, `take-over`"
    return f"{workflow_id} runs already{has if incident else ''}: {session.link(workflow_id, run_id)}"


async def _last(session: Session, workflow_id: str) -> WorkflowExecutionDescription | None:
    """Describe the newest run of an ID; None where there is none."""
    try:
        return await session.client.get_workflow_handle(workflow_id).describe(rpc_timeout=_ACCEPTED_WITHIN)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
