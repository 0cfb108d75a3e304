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

from activities.common.effects import Change, Effect
from activities.monitoring.resets import BeforeReset, BeforeResetRequest, Resets
from workflows.platform import policies
from workflows.platform.runbook import Runbook

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
    info = workflow.info()
    if info.original_execution_run_id not in {"", info.run_id} and workflow.patched("before-reset"):
        asked = BeforeResetRequest(effect_key=effect.key, reads=[_name(read) for read in reads])
        found = await run.step(section, "Before the reset", Resets.before_reset, asked, policies.READ)
        if found.begun:
            return Earlier(found)
    return None


def _name(read: Callable[[Any, Any], Any]) -> str:
    name = _Definition.must_from_callable(read).name
    assert name is not None, "activities of ours have names"
    return name
