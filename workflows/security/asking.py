"""Asking more than one thing at a time (runbook 8.1): what the run waits for is shown as long as anything is open."""

from workflows.platform.approval import Answer, Question
from workflows.shared.desk import Desk


async def ask(desk: Desk, question: Question) -> Answer:
    """Put a question before the incident's people, and wait for its answer; others may be open beside it."""
    run = desk.run
    run.background(desk.ask(question))
    answer = await run.ask(question, escalate=desk.escalate)
    if run.approvals.open:
        run.wait_for(f"decide {next(iter(run.approvals.open))}")
    return answer
