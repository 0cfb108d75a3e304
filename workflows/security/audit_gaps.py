"""What is asked where an audit's sources can't be looked at (runbook 8.3)."""

from datetime import timedelta

from audit.compliance import Gap
from workflows.platform.approval import Question

PACKAGE, RETRY, STOP = "package", "retry", "stop"
MOST_LOOKS = 5
"""How often a person may have it looked at again in one run."""

LONGEST = timedelta(hours=2)
"""For one attempt at a package: a year of a busy company takes minutes."""

_PATIENCE = timedelta(hours=4)
_SHOWN = 40


def gaps_question(look: int, gaps: list[Gap]) -> Question:
    """Ask whether to mend what is in the way first; without an answer it is packaged, and the gaps are named in it."""
    more = [f"and {len(gaps) - _SHOWN} more"] if len(gaps) > _SHOWN else []
    options = {
        PACKAGE: "it is packaged; the report names what could not be looked at",
        RETRY: "all of it is looked at again",
        STOP: "nothing is packaged",
    }
    if look == MOST_LOOKS:
        del options[RETRY]
    return Question(
        id=f"gaps-{look}",
        title=f"{len(gaps)} of the audit's sources could not be looked at. Package all the same?",
        options=options,
        default=PACKAGE,
        kind="compliance",
        evidence=[*(str(gap) for gap in gaps[:_SHOWN]), *more],
        timeout=_PATIENCE,
    )
