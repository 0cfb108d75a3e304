"""When a certificate is to be renewed: as its authority says, else by what is left of its life (runbook 6.3).

The runbook's 30 days are for certificates of 90. Public ones shrink to 100 and 47 days, and there are some of 6: of
those a third of their life is less than 30 days, and of the shortest half of it is little enough.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.certificates.facts import Certificate
from activities.certificates.orders import Window

_RUNBOOK = timedelta(days=30)
_SHORT = timedelta(days=10)
"""Authorities of such certificates ask for renewal at half of their life (letsencrypt.org/docs/integration-guide)."""


class Due(BaseModel):
    """Whether it is to be renewed now, and by which rule."""

    due: bool
    because: str

    def __str__(self) -> str:
        return f"{'due' if self.due else 'not due'}: {self.because}"


def due(
    certificate: Certificate, at: datetime, window: Window | None, *, every: timedelta, revoked: bool = False
) -> Due:
    """Decide about a certificate that was looked at `at`, when the next look is `every` later."""
    left = certificate.left(at)
    if left <= timedelta(0):
        return Due(due=True, because=f"it has expired at {certificate.not_after:%Y-%m-%d %H:%M %Z}")
    if revoked:
        return Due(due=True, because="it is revoked")
    moment = window.moment(certificate) if window else None
    if moment is not None and moment < certificate.not_after - every:
        # A time before the next look is taken now: then it would be too late (RFC 9773, 4.2).
        return Due(
            due=moment <= at + every,
            because=f"its authority wants it renewed from {window}, here at {moment:%Y-%m-%d %H:%M %Z}",
        )
    limit = _limit(certificate.lifetime)
    told = f"{days(left)} of {days(certificate.lifetime)} are left, renewed from {days(limit)}"
    return Due(due=left <= limit, because=told)


def _limit(lifetime: timedelta) -> timedelta:
    return lifetime / 2 if lifetime < _SHORT else min(_RUNBOOK, lifetime / 3)


def days(span: timedelta) -> str:
    """Write a time in days, or hours where it is short."""
    hours = span / timedelta(hours=1)
    return f"{hours:.0f} hours" if abs(hours) < 72 else f"{hours / 24:.1f} days"  # noqa: PLR2004  three days
