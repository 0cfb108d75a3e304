"""A standard deployment, as most tests ask for it."""

from workflows.deployment.standard_deployment import StandardDeploymentRequest
from workflows.platform.approval import Decision

NAME = "standard_deployment"


REQUEST = StandardDeploymentRequest(version="v1.2.5", change_log="Fixed bug #123")


def decided(choice: str, *, role: str = "commander", reason: str = "") -> Decision:
    return Decision(who="ada", role=role, question="predeploy", choice=choice, reason=reason)
