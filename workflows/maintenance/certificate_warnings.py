"""Pages about certificates that end soon and that no run has renewed, and about what could not be seen (runbook 6.3).

A page has the certificate and its deadline for its ID, so that daily runs page once for each deadline: the pager joins
what is open already.
"""

from datetime import datetime, timedelta

from activities.catalogue.certificates import CertificatePolicy
from activities.certificates.facts import Certificate
from activities.common.severity import Severity
from activities.messages.paging.paging import PageOnCall, Paging, ResolvePage
from workflows.maintenance.renewal_windows import days
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_URGENT = timedelta(days=3)


class CertificateWarnings:
    """Pages of one run."""

    def __init__(self, run: Runbook, desk: Desk, policy: CertificatePolicy) -> None:
        self.run = run
        self.desk = desk
        self.page_at = sorted(policy.page_at)
        self.told: list[str] = []

    def urgent(self, certificate: Certificate, at: datetime) -> bool:
        """Whether so little is left that people are paged."""
        return certificate.left(at) <= self.page_at[-1]

    async def ends(self, certificate: Certificate, at: datetime, what: str) -> None:
        """Page, where a deadline has passed."""
        left = certificate.left(at)
        deadline = next((one for one in self.page_at if left <= one), None)
        if deadline is None:
            return
        end = "has expired" if left <= timedelta(0) else f"expires in {days(left)}"
        summary = f"{what}, and its certificate {end} ({certificate.not_after:%Y-%m-%d %H:%M %Z})"
        await self._page(_page_id(certificate, deadline), "P2" if deadline <= _URGENT else "P3", summary)

    async def unseen(self, what: str) -> None:
        """Page that something could not be looked at: what isn't seen may be at its end."""
        await self._page(f"CERT-unseen-{what.partition(': ')[0]}", "P3", f"could not look at {what}")

    async def over(self, certificate: Certificate, at: datetime) -> None:
        """Take back the pages about a certificate that is replaced."""
        for deadline in (one for one in self.page_at if certificate.left(at) <= one):
            request = ResolvePage(incident_id=_page_id(certificate, deadline), effect=self.run.effect("resolve-page"))
            await self.run.keep("6.3", "Resolve the page", Paging.resolve, request)

    async def _page(self, incident_id: str, severity: Severity, summary: str) -> None:
        self.told.append(summary)
        request = PageOnCall(
            incident_id=incident_id,
            service=self.desk.service.name,
            severity=severity,
            rotation=self.desk.service.on_call,
            summary=summary,
            effect=self.run.effect("page"),
        )
        await self.run.keep("6.3", "Page the on-call", Paging.page, request)


def _page_id(certificate: Certificate, deadline: timedelta) -> str:
    return f"CERT-{certificate.short}-{deadline.total_seconds() / 3600:.0f}h"
