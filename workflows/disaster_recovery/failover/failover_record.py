"""What a failover leaves in the records, and what people are told of it (runbook 7.1 step 5)."""

import asyncio
from datetime import datetime

from workflows.disaster_recovery.failover.takeover import Takeover
from workflows.shared.incident import Incident
from workflows.shared.post_mortem_review import schedule_post_mortem


async def document(incident: Incident, takeover: Takeover, *, silent_since: datetime | None, healthy: bool) -> None:
    """Record and tell it; the incident is closed where the service is healthy, and stays people's otherwise."""
    promoted = takeover.promoted
    assert promoted is not None
    followers = "".join(f", {name} {how}" for name, how in takeover.following.items())
    note = f". {promoted.note}" if promoted.note else ""
    text = (
        f"Database failover executed: {promoted.server} is the primary on timeline {promoted.timeline}, "
        f"{takeover.primary} is fenced{followers}. {takeover.candidate.loss}{note}"
    )
    await asyncio.gather(
        incident.reached("mitigated"),
        incident.status_page("7.1/5", "Monitoring", "The database has been moved to another server."),
        incident.notify_stakeholders(f"the database has been failed over to {promoted.server}"),
        incident.tell("failed-over", f":twisted_rightwards_arrows: {text}"),
        incident.note("runbook", f"{text}\n\n{incident.run.timeline.markdown()}"),
    )
    if not healthy:
        await incident.escalate(f"failed over to {promoted.server}, but the service is not healthy")
        return
    since = f" from {silent_since:%Y-%m-%d %H:%M:%S %Z} on" if silent_since else ""
    cause = f"{takeover.primary} did not answer{since}; why is to be found out"
    await incident.reached("stable")
    await incident.close("runbook", text, cause)
    await schedule_post_mortem(incident, text, cause)
