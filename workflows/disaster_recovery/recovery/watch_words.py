"""What people say to the watch over a recovered service. Imported without the procedure."""

from activities.common.text import Reason
from workflows.platform.signing import SignedWord


class StopWatching(SignedWord):
    """A person has seen enough: the watch ends, and with it the incident where all is well."""

    UPDATE = "stop_watching"

    reason: Reason = ""
