"""What settings say of a service's security incidents (runbook 8.1)."""

from datetime import timedelta

from pydantic import Field

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key


class SecurityPolicy(ServicePolicy):
    """Who hears of a security incident, and how long its steps wait (runbook 8.1)."""

    channel: Key = Field(
        default="#security-incidents",
        description="Its chat channel: a private one, that investigators alone can read and search.",
    )
    on_call: Key | None = Field(default=None, description="Rotation that is paged; the service's where none is named.")
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="Of a question, until it escalates."
    )
    drain_within: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="How long a drain waits, then people are asked."
    )
    legal_within: timedelta = Field(
        default=timedelta(hours=12),
        gt=timedelta(0),
        description="For the decision which duties to notify there are; their clocks run whatever is answered late.",
    )
    return_within: timedelta = Field(
        default=timedelta(days=1), gt=timedelta(0), description="For the answer whether nodes return."
    )
