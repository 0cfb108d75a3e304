"""Whether a run that has completed did what it was started for."""

import re

# In the procedures' own words. `not needed` is no failure: what was asked for is there already.
_ELSEWHERE = re.compile(
    r"(?:^|, )not (?!needed)|^(?:failed|stopped|declined|cancelled|left as it is|no node|put back)\b|, then cancelled$"
)
_LESS = {"StandardDeployment": {"rolled back"}}
"""What is a procedure's aim elsewhere, and here the end of another."""


def reached(workflow_type: str, outcome: str) -> bool:
    """Tell by the outcome; a plan has reached what a plan is for."""
    return not _ELSEWHERE.search(outcome) and outcome not in _LESS.get(workflow_type, ())
