"""The recorded histories, and what replays them."""

from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.replay.guard import HISTORIES
from workers.converter import DATA_CONVERTER
from workers.interceptors import RunbookInterceptor
from workers.runner import runner, strict

FILES = sorted(HISTORIES.glob("*.json"))

RUNNERS = {"everything checked": strict(), "as in production": runner(sandbox=False)}


def replayer(kind: type, run_by: str = "as in production") -> Replayer:
    return Replayer(
        workflows=[kind],
        data_converter=DATA_CONVERTER,
        interceptors=[RunbookInterceptor()],
        workflow_runner=RUNNERS[run_by],
    )


def history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))
