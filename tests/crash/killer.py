"""Kills the worker's own process at one effect: before it, during it, or after it and before it is reported.

`RUNBOOKS_CRASH_AT=<Workflow>/<step>:before|during|after` names the effect by its workflow's type and the last part of
its key; it strikes on the first attempt. `during` is for effects that run a program: a moment after that has started.
"""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_POLL_SECONDS = 0.01
INTO_THE_PROGRAM = 0.3
"""Seconds that the program has run when `during` strikes: Helm is applying its changes then, or waits for them."""


class Killer(Interceptor):
    def __init__(self, at: str, mark: Path) -> None:
        self.effect, _, self.when = at.rpartition(":")
        self.mark = mark
        assert self.when in {"before", "during", "after"}

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Kill(next, self)

    def wants(self, key: str) -> bool:
        info = activity.info()
        return f"{info.workflow_type}/{key.rpartition('/')[2]}" == self.effect and info.attempt == 1

    def strike(self, when: str) -> None:
        if when != self.when:
            return
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def strike_during(self) -> None:
        """Wait for a program that acts, which is one that waits for what it does, and strike in the middle of it."""
        while not any("--wait" in _arguments(child) for child in psutil.Process().children()):
            time.sleep(_POLL_SECONDS)
        time.sleep(INTO_THE_PROGRAM)
        self.strike("during")


def _arguments(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:  # it has ended since it was listed
        return []


class _Kill(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, killer: Killer) -> None:
        super().__init__(next)
        self.killer = killer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        effect = getattr(input.args[0], "effect", None) if input.args else None
        if effect is None or not self.killer.wants(effect.key):
            return await super().execute_activity(input)
        self.killer.strike("before")
        if self.killer.when == "during":
            threading.Thread(target=self.killer.strike_during, daemon=True).start()
        result = await super().execute_activity(input)
        self.killer.strike("after")
        return result
