"""Kills the worker's own process at one effect: before it, or after it and before its completion is reported.

`RUNBOOKS_CRASH_AT=<step>:before|after` names the effect by the last part of its key; it strikes on the first attempt.
"""

import os
import signal
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.effects import Effect


class Killer(Interceptor):
    def __init__(self, at: str, mark: Path) -> None:
        self.step, _, self.when = at.rpartition(":")
        self.mark = mark
        assert self.when in {"before", "after"}

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Kill(next, self)

    def strike(self, effect: Effect, when: str) -> None:
        if when != self.when or effect.key.rpartition("/")[2] != self.step or activity.info().attempt != 1:
            return
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class _Kill(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, killer: Killer) -> None:
        super().__init__(next)
        self.killer = killer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        effect = getattr(input.args[0], "effect", None) if input.args else None
        if effect is not None:
            self.killer.strike(effect, "before")
        result = await super().execute_activity(input)
        if effect is not None:
            self.killer.strike(effect, "after")
        return result
