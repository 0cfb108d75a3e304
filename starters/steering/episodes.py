"""Which firings the runs of one workflow ID have taken: each run hands the list on to the next, in its memo."""

from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

_GAVE_UP = {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}
"""Ends that handled nothing: the alert still fires, so its repetition tries again."""


async def dealt_with(last: WorkflowExecutionDescription) -> list[str]:
    """Give the firings that a run and those before it took; one that was cancelled or terminated by a person too."""
    if last.status in _GAVE_UP:
        return []
    episodes: list[str] = (await last.memo()).get("episodes", [])
    return episodes
