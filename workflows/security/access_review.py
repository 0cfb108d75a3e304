"""Who has used the service in the last 24 hours, and from where (runbook 8.1 step 5)."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from activities.accesses.accesses import Accesses, ReviewAccesses, ReviewedAccesses, Source
from activities.accesses.review import MEANING
from audit.text import counted
from workflows.platform import policies
from workflows.shared.desk import Desk

_LAST_HOURS = 24
"""`tensafe-admin security audit --last 24h`."""


class AccessReview:
    """The reviews of one incident, one for each place where accesses are kept."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.run = desk.run
        self.found: dict[Source, ReviewedAccesses] = {}
        self.failed: list[Source] = []

    async def follow(self) -> None:
        """Review them all, and tell the incident's people what there is to look at."""
        policy = self.desk.service.security.accesses
        if policy is None:
            return
        kept: dict[Source, str] = {"ingress": policy.controller_namespace, "database": policy.query}
        sources = [source for source, where in kept.items() if where]
        until = workflow.now()
        await asyncio.gather(*(self._review(source, until) for source in sources))
        if told := [f"{source}: {_in_words(each)}" for source, each in sorted(self.found.items())]:
            text = "; ".join(told)
            self.run.say("decision", f"Accesses of {_LAST_HOURS} hours: {text}", section="8.1/5")
            if not self.run.dry_run:
                await self.desk.tell("accesses", f":mag: accesses of {_LAST_HOURS} hours: {text}. The rows are kept.")
        if self.failed:
            await self.desk.escalate(f"accesses could not be reviewed: {', '.join(sorted(self.failed))}")

    def suspects(self) -> list[str]:
        """Give the addresses that were refused often, each once."""
        return list(dict.fromkeys(each for review in self.found.values() for each in review.suspects))

    def not_done(self) -> list[str]:
        """Say what of it was not looked at."""
        if self.desk.service.security.accesses is None:
            return ["accesses were not reviewed: settings name no place where they are kept (8.1 step 5)"]
        return [
            *(f"accesses were not reviewed: {source} failed (8.1 step 5)" for source in sorted(self.failed)),
            *(
                f"accesses ({source}): {what}"
                for source, each in sorted(self.found.items())
                for what in (
                    *(f"not judged, nothing is known from before: {k}" for k in each.not_judged),
                    *each.unreadable,
                )
            ),
        ]

    async def _review(self, source: Source, until: datetime) -> None:
        service = self.desk.service
        assert service.security.accesses is not None
        request = ReviewAccesses(
            incident_id=self.desk.id,
            service=service.name,
            namespace=service.namespace,
            source=source,
            policy=service.security.accesses,
            until=until,
            last=timedelta(hours=_LAST_HOURS),
            effect=self.run.effect(f"accesses-{source}"),
        )
        step = f"Review accesses ({source})"
        found = await self.run.attempt("8.1/5", step, Accesses.review, request, policies.COLLECT)
        if found is None:
            self.failed.append(source)
        else:
            self.found[source] = found


def _in_words(review: ReviewedAccesses) -> str:
    listed = [f"{counted(number, 'subject')} {MEANING[kind]}" for kind, number in review.findings.items() if number]
    return ", ".join(listed) or f"nothing unusual in {counted(review.accesses, 'access', 'accesses')}"
