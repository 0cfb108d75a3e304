"""`python -m bench.next_worker`: the worker of a next release, whose procedures do one thing more at their end.

It stands behind `workflow.patched`, as a change of what open runs do has to.
"""

import sys

from temporalio import workflow

from workers.__main__ import main
from workflows.platform.runbook import Runbook

CHANGE = "bench-next-release"
_finish = Runbook.finish


def _finish_and_say(run: Runbook, outcome: str) -> None:
    if workflow.patched(CHANGE):
        workflow.upsert_memo({"next_release": True})
    _finish(run, outcome)


if __name__ == "__main__":
    Runbook.finish = _finish_and_say  # type: ignore[method-assign, assignment]
    sys.exit(main())
