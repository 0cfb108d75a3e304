"""What a run did before somebody reset it: the values that an effect was decided by stay pinned.

Temporal's *Reset* lets a run begin again while what it did is done. Effects have the same keys as before, so none is
done twice; but what they are decided by would be read anew, from what the run itself has changed: 2 nodes + 1 were 3,
and then 3 + 1 are 4. So where something is pinned, the run asks what it had read and done before, and goes on from
there. Histories say it: no system outside has to keep it for us.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, TypeAdapter
from temporalio import workflow
from temporalio.activity import _Definition
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.common.effects import Change, Effect
from activities.monitoring.resets import (
    BeforeReset,
    BeforeResetRequest,
    ChildBefore,
    ChildBeforeRequest,
    Resets,
)
from workflows.platform import policies
from workflows.platform.lease import shielded
from workflows.platform.runbook import Runbook, was_reset

_Req = TypeVar("_Req", bound=BaseModel)
_Answer = TypeVar("_Answer")
_Change = TypeVar("_Change", bound=Change)


@dataclass(frozen=True)
class Earlier:
    """What was read and done for one effect, before the reset."""

    _found: BeforeReset

    def answer(self, read: Callable[[Any, _Req], _Answer]) -> _Answer | None:
        """Give what a read answered then; None where it had no answer."""
        raw = self._found.results.get(_name(read))
        hint = get_type_hints(read)["return"]
        return None if raw is None else TypeAdapter[_Answer](hint).validate_python(raw)

    def asked(self, hint: type[_Req]) -> _Req:
        """Give what the effect was asked to do."""
        return hint.model_validate(self._found.asked)

    def change(self, hint: type[_Change]) -> _Change | None:
        """Give what the effect did; None where nobody knows how it ended, and it is to be tried under its key."""
        if self._found.change is None:
            return None
        return hint.model_validate(self._found.change).model_copy(update={"applied": False})


async def before_reset(run: Runbook, section: str, effect: Effect, *reads: Callable[[Any, Any], Any]) -> Earlier | None:
    """Ask what this run had read and done for an effect; None where it wasn't reset, or had not come so far.

    To be asked behind the reads: a run that is reset to behind them has what it read in its own history.

    Raises:
        ActivityError: `NotFound`, the run that it was reset from is not kept any more; nothing has been done.

    """
    if was_reset() and workflow.patched("before-reset"):
        asked = BeforeResetRequest(effect_key=effect.key, reads=[_name(read) for read in reads])
        found = await run.step(section, "Before the reset", Resets.before_reset, asked, policies.READ)
        if found.begun:
            return Earlier(found)
    return None


async def child_before_reset(
    run: Runbook, section: str, workflow_id: str, *, cancels: bool = True
) -> ChildBefore | None:
    """Give the end of a run that this one had started before it was reset; None where it had started none.

    Temporal would start it a second time: the other one is nobody's child any more. One that goes on is waited for;
    `cancels` says whether it is cancelled with the waiting.

    Raises:
        ActivityError: `NotFound`, it is not kept any more.

    """
    found = await _child(run, section, workflow_id)
    if found is None or found.ended:
        return found
    waiting = ChildBeforeRequest(workflow_id=workflow_id, wait=True)
    try:
        return await run.step(section, f"The end of {workflow_id}", Resets.child, waiting, policies.CHILD)
    except ActivityError as error:
        if cancels and is_cancelled_exception(error):
            await shielded(workflow.get_external_workflow_handle(workflow_id, run_id=found.run_id).cancel())
        raise


async def started_before_reset(run: Runbook, section: str, workflow_id: str) -> bool:
    """Tell whether this run had started one before it was reset that goes on by itself: it isn't started again.

    Raises:
        ActivityError: `NotFound`, nobody can tell any more.

    """
    return await _child(run, section, workflow_id) is not None


async def _child(run: Runbook, section: str, workflow_id: str) -> ChildBefore | None:
    if not (was_reset() and workflow.patched("child-before-reset")):
        return None
    asked = ChildBeforeRequest(workflow_id=workflow_id)
    found = await run.step(section, "Started before the reset", Resets.child, asked, policies.READ)
    if not found.run_id:
        return None
    how = found if found.ended else "it goes on"
    run.say("decision", f"This run was reset, and had started {workflow_id} before: {how}", section=section)
    return found


def _name(read: Callable[[Any, Any], Any]) -> str:
    name = _Definition.must_from_callable(read).name
    assert name is not None, "activities of ours have names"
    return name
