"""A security incident that people steer."""

from tests.workflows.steering import Handle, waiting_for
from workflows.platform.approval import Decision
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest

NAME = "security_incident"
FINDINGS = "Unknown process xmrig in one pod"
REQUEST = SecurityIncidentRequest(nodes=["node-a"], initial_findings=FINDINGS)


async def says(handle: Handle, who: str, question: str, choice: str, reason: str = "") -> None:
    word = Decision(who=who, role="security", question=question, choice=choice, reason=reason)
    await handle.execute_update(SecurityIncident.decide, word)


async def both_say(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await says(handle, "ada", question, choice, "the evidence is kept")
    await says(handle, "bob", question, choice, "so it is")
