"""A blocking, as its tests ask for it and read it."""

from typing import Any

from tests.workflows.steering import Handle, until
from workflows.platform.approval import Decision
from workflows.security.security_incident import SecurityIncident

NAME = "security_incident"


async def says(handle: Handle, who: str, question: str, choice: str) -> None:
    word = Decision(who=who, role="security", question=question, choice=choice, reason="it attacks")
    await handle.execute_update(SecurityIncident.decide, word)


async def asked(handle: Handle, question: str) -> Any:
    status = await until(handle, lambda status: any(each.id == question for each in status.questions))
    return next(each for each in status.questions if each.id == question)
