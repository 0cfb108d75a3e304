"""Temporal's words for how a run stands: ours, and visibility's."""

IN_VISIBILITY = {
    "running": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "canceled": "Canceled",
    "terminated": "Terminated",
    "timed out": "TimedOut",
    "continued as new": "ContinuedAsNew",
}

STATUSES = tuple(IN_VISIBILITY)
