"""Kills the worker's own process at one effect: before it, during it, or after it and before it is reported.

`<Workflow>/<step>:before|during|after` names the effect by its workflow's type and the last part of its key, and what
has no key by its activity's type; it strikes on the first attempt. `during` is for effects that run a program: a moment
after that has started.

With `@<server>` behind it, it is a PostgreSQL server that is killed: its postmaster, whose processes follow it. The
worker lives on; `during` is then a moment after the effect has begun.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from sandbox.service_database import postmaster

_POLL_SECONDS = 0.01
INTO_THE_PROGRAM = 0.3
"""Seconds that the program has run when `during` strikes: Helm is applying its changes then, or waits for them."""

INTO_THE_EFFECT = 0.1
"""Seconds into an effect at which a server is killed: it has begun to ask it for something then."""

_ACTING = {"--wait", "sandbox.database_hosts", "restore", "recover"}
"""Arguments that only a program has which changes something: Helm's, Barman's, the command of a database's machine."""


class Killer(Interceptor):
    """Kills at `at`, once for all who know the same `mark`; `data` are the data directories of the servers."""

    def __init__(self, at: str, mark: Path, data: Mapping[str, Path]) -> None:
        self.effect, _, when = at.rpartition(":")
        self.when, _, server = when.partition("@")
        self.mark = mark
        self.server = data[server] if server else None
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
        victim = os.getpid() if self.server is None else postmaster(self.server)
        if victim is not None:  # a server may be down already
            os.kill(victim, signal.SIGKILL)

    def strike_during(self) -> None:
        """Strike in the middle: of a server's work, or of a program that acts, for which it waits."""
        if self.server is not None:
            time.sleep(INTO_THE_EFFECT)
        else:
            while not any(_ACTING.intersection(_arguments(child)) for child in psutil.Process().children(True)):
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
        if not self.killer.wants(effect.key if effect else activity.info().activity_type):
            return await super().execute_activity(input)
        self.killer.strike("before")
        if self.killer.when == "during":
            threading.Thread(target=self.killer.strike_during, daemon=True).start()
        result = await super().execute_activity(input)
        self.killer.strike("after")
        return result
