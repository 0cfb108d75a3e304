"""A worker as a process of its own, in a made-up world; it kills itself at an effect, where it is told to.

`python -m tests.starters.dying_worker ROOM [--at EFFECT]`. The room is a folder: `room.json` says where Temporal is and
for which service, `effects.txt` gets a line for each effect that was done, by whichever worker.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from activities.catalogue.service import ApprovalPolicy, Service
from sandbox.processes import ServerProcess
from tests.workflows.worlds.world import World
from workers import worker
from workers.clients import connect
from workers.settings import TemporalSettings


class Room:
    """Where such workers work, and what they have done there."""

    def __init__(self, folder: Path, world: World, *, address: str, queue: str, service: str) -> None:
        self.folder = folder
        folder.mkdir()
        told = {
            "address": address,
            "queue": queue,
            "name": service,
            "service": world.service.model_dump(mode="json"),
            "approvals": world.approvals.model_dump(mode="json"),
        }
        (folder / "room.json").write_text(json.dumps(told), encoding="utf-8")
        self._effects = folder / "effects.txt"
        self._effects.touch()

    def start(self, stack: ExitStack, *, at: str = "") -> ServerProcess:
        """Start a worker."""
        server = ServerProcess(
            name="worker",
            directory=self.folder / (at or "whole"),
            argv=[sys.executable, "-m", __name__, self.folder, *(("--at", at) if at else ())],
        )
        server.start()
        stack.callback(server.stop)
        return server

    def done(self, name: str) -> int:
        """Count how often an effect was done."""
        return self._effects.read_text(encoding="utf-8").split("\n").count(name)


class _World(World):
    def __init__(self, folder: Path, told: dict[str, Any], at: str) -> None:
        super().__init__(approvals=ApprovalPolicy.model_validate(told["approvals"]))
        self.service = Service.model_validate(told["service"])
        self.others = {told["name"]: self.service}
        self._folder, self._at = folder, at
        self.bad_release()

    def _done(self, name: str, request: Any) -> bool:
        if name == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        with (self._folder / "effects.txt").open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return super()._done(name, request)


async def _work(folder: Path, at: str) -> None:
    told = json.loads((folder / "room.json").read_text(encoding="utf-8"))
    client = await connect(TemporalSettings(address=told["address"]))
    async with worker.build(client, TemporalSettings(task_queue=told["queue"]), _World(folder, told, at).activities()):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.starters.dying_worker", description=__doc__)
    parser.add_argument("room", type=Path)
    parser.add_argument("--at", default="")
    options = parser.parse_args()
    asyncio.run(_work(options.room, options.at))
