"""What people send to an API key's rotation (runbook 8.2)."""

from activities.common.text import Reason
from workflows.platform.signing import SignedWord


class RevokeNow(SignedWord):
    """A person wants the old key to end now."""

    UPDATE = "revoke"

    reason: Reason = ""
