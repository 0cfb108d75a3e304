"""Looks after one role that no worker has while runs wait for it: tells them, pages once, and withdraws the page.

`LookForWorkers` starts it, under an ID of the role's own queue: so there is one page, however many runs wait. Likewise
for a version that runs end with; these can't be told anything, since nobody takes a step of theirs.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError, TimeoutError, TimeoutType  # noqa: A004  Temporal's

from activities.catalogue.lookup import Catalogue, ResolveService
from activities.common.effects import Effect
from activities.common.severity import Severity
from activities.common.text import Key
from activities.common.times import Time
from activities.messages.paging.paging import PageOnCall, Paging, ResolvePage
from activities.monitoring.workers import LookForMissing, MissingRole, TellRuns, WaitingRun, Workers, named
from audit.text import counted, lasted, plain
from workflows.platform import policies
from workflows.platform.lookups import looked_up
from workflows.platform.policies import Policy

AGAIN_AFTER, MOST_SELDOM = timedelta(seconds=20), timedelta(hours=1)
_ACTOR = "look-for-workers"
_ROTATION = "primary"
"""Where no service's settings say another."""
_TAKEN_WITHIN = timedelta(seconds=20)
"""The role that is missing may be the pager's own: then nobody is paged, and the runs are told all the same."""
_WITHDRAWN_WITHIN = timedelta(hours=1)


class MissingSoFar(BaseModel):
    """What was done already."""

    since: Annotated[datetime, Time()]
    told: dict[Key, WaitingRun] = Field(default_factory=dict, description="By run ID.")
    tried: bool = Field(default=False, description="Whether a page may be out.")
    paged: bool = False


class MissingWorkerRequest(BaseModel):
    """Which role, or which version."""

    role: Key = Field(description="Of [temporal] roles; empty for a version without any worker.")
    build_id: Key = Field(default="", description="Of `[worker] deployment`; empty for a role that no version has.")
    every: timedelta = Field(
        default=AGAIN_AFTER, gt=timedelta(0), le=MOST_SELDOM, description="How often it looks again."
    )
    so_far: MissingSoFar | None = Field(default=None, description="Of a continued run.")


@workflow.defn
class MissingWorker:
    """From the first run that waits until role or version has a worker again, or nobody waits any more."""

    VERSIONING: ClassVar[VersioningBehavior] = VersioningBehavior.AUTO_UPGRADE
    """It may last as long as an outage, and must not wait for a worker itself."""

    @workflow.run
    async def run(self, request: MissingWorkerRequest) -> str:
        """Tell, page, wait, and take it back."""
        so_far = request.so_far or MissingSoFar(since=workflow.now())
        while (found := await self._look(request)) is not None:
            if found.runs:
                await self._tell(found, so_far)
                await self._page(found, so_far)
                self._show(found, so_far)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(request.model_copy(update={"so_far": so_far}))
            await workflow.sleep(request.every)
        if so_far.told:
            await self._do("Tell the runs", Workers.tell, _back(request.role, so_far), policies.RECORD)
        if so_far.tried:
            withdrawn = ResolvePage(incident_id=_page_id(so_far), effect=_effect("resolve"))
            await self._do("Withdraw the page", Paging.resolve, withdrawn, policies.PERSIST, _WITHDRAWN_WITHIN)
        took = lasted(workflow.now() - so_far.since)
        unpaged = not so_far.paged and (so_far.told or not request.role)
        paged = "; nobody could be paged" if unpaged else ""
        told = f": {_told(so_far)} told" if request.role else ""
        which = named(request.role, request.build_id)
        return f"no run waits for {which} any more, after {took}{told}{paged}"

    async def _look(self, request: MissingWorkerRequest) -> MissingRole | None:
        """Give who waits; none of them where Temporal didn't say, None where nobody does."""
        which = LookForMissing(role=request.role or None, build_id=request.build_id or None)
        found = await self._do("Look again", Workers.missing, which, policies.READ)
        if found is None:
            return MissingRole(role=request.role, build_id=request.build_id, runs=[])
        return next(iter(found.items), None)

    async def _tell(self, found: MissingRole, so_far: MissingSoFar) -> None:
        new = [run for run in found.runs if run.listens and run.run_id not in so_far.told]
        if new and await self._do("Tell the runs", Workers.tell, TellRuns(role=found.role, runs=new), policies.RECORD):
            so_far.told |= {run.run_id: run for run in new}

    async def _page(self, found: MissingRole, so_far: MissingSoFar) -> None:
        if so_far.paged:
            return
        worst = min(found.runs, key=lambda run: run.severity or "P9")
        page = PageOnCall(
            incident_id=_page_id(so_far),
            service=worst.service or "runbooks",
            severity=_severity(worst),
            rotation=await self._rotation(worst.service),
            summary=str(found)[:1].upper() + str(found)[1:],
            effect=_effect("page"),
        )
        try:
            await workflow.execute_activity_method(
                Paging.page,
                page,
                schedule_to_start_timeout=_TAKEN_WITHIN,
                start_to_close_timeout=policies.RECORD.start_to_close,
                heartbeat_timeout=policies.RECORD.heartbeat,
                retry_policy=policies.RECORD.retry,
                summary="Page the on-call",
            )
            so_far.paged = so_far.tried = True
        except ActivityError as error:
            cause = error.cause
            nobody = isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START
            so_far.tried = so_far.tried or not nobody
            workflow.logger.warning("nobody could be paged")

    async def _rotation(self, service: str) -> str:
        if not service:
            return _ROTATION
        try:
            resolved = await looked_up(Catalogue.resolve, ResolveService(service=service), "Whom to page")
        except FailureError:  # settings have forgotten it
            return _ROTATION
        return str(resolved.service.on_call)

    async def _do(self, title: str, method: Any, request: Any, policy: Policy, within: timedelta | None = None) -> Any:
        """Do a step; None where it fails: it is tried with the next look, or can be done without."""
        try:
            return await workflow.execute_activity_method(
                method,
                request,
                start_to_close_timeout=policy.start_to_close,
                schedule_to_close_timeout=within,
                heartbeat_timeout=policy.heartbeat,
                retry_policy=policy.retry,
                summary=title,
            )
        except ActivityError:
            workflow.logger.warning("%s: not done", title)
            return None

    def _show(self, found: MissingRole, so_far: MissingSoFar) -> None:
        runs = "\n".join(f"- `{plain(run.workflow_id)}`: {plain(run.step)}" for run in found.runs)
        paged = "The on-call is paged" if so_far.paged else "Nobody could be paged yet"
        workflow.set_current_details(f"**{plain(str(found))}**\n\n{paged}.\n\n{runs}"[:20_000])


def _severity(run: WaitingRun) -> Severity:
    return "P1" if run.severity == "P1" else "P2"


def _back(role: str, so_far: MissingSoFar) -> TellRuns:
    return TellRuns(role=role, runs=list(so_far.told.values()), back=True)


def _told(so_far: MissingSoFar) -> str:
    return counted(len(so_far.told), "run")


def _page_id(so_far: MissingSoFar) -> str:
    """Give the page an ID in the form of incidents', so that a webhook that tells of it is known to speak of ours."""
    own = hashlib.sha256(workflow.info().first_execution_run_id.encode()).hexdigest()[:6]
    return f"OPS-{so_far.since:%Y%m%d-%H%M%S}-{own}"


def _effect(step: str) -> Effect:
    info = workflow.info()
    key = f"{info.workflow_id}/{info.first_execution_run_id}/{step}"
    return Effect(key=key, workflow_id=info.workflow_id, run_id=info.run_id, actor=_ACTOR)
