"""Morning startup (runbook 1.1): how the service is, what the night was, and who is to look at what.

The page types `tensafe-admin alerts list`, `tensafe-admin health --quick`, `tensafe-admin metrics morning-snapshot` and
`tensafe-admin support summary`.
"""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from activities.customers.tickets import Support, TicketsRequest
from activities.messages.chat.chat import PostMessage, Slack, escaped
from activities.monitoring.prometheus import FiredRequest, PrometheusMetrics
from activities.monitoring.runs import Runs, ServiceRunsRequest
from activities.records.activities import Records
from activities.records.days import AlertsSince
from workflows.daily_operations.condition import Colour, condition
from workflows.daily_operations.escalation import Escalation, Outcome
from workflows.daily_operations.figures import Reading
from workflows.daily_operations.local_day import LocalDay
from workflows.daily_operations.morning_summary import Night, summary, to_do
from workflows.platform import policies
from workflows.platform.clocks import Clock
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

FIGURES = ("dau", "mrr")


class MorningStartupRequest(ServiceRequest):
    """Look at a service in the morning."""

    again: bool = Field(default=False, description="Post the summary although the day has one already.")


class MorningStartupResult(BaseModel):
    """What the morning is like."""

    overall: Colour
    reasons: list[str] = Field(description="Of what is not GREEN.")
    figures: dict[str, float | None]
    to_do: list[str] = Field(description="What people are to look at.")
    incident: Literal["none", "joined", "started", "left"] = "none"
    posted: bool
    seconds: float = Field(description="From the run's start to its summary.")


@workflow.defn
class MorningStartup(Runbook):
    """Look at everything at once, start what cannot wait, and post one summary."""

    SECTION = "1.1"

    @workflow.run
    async def run(self, request: MorningStartupRequest) -> MorningStartupResult:
        """Follow 1.1.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        service = await self.begin(request, title="Morning startup", service=request.service, severity="P4")
        self.title = f"Morning of {service.name}"
        policy = service.daily or DailyPolicy()
        self.clocks.start("Morning", policy.morning_within, self._late)
        try:
            return await self._morning(request, service, policy)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _morning(
        self, request: MorningStartupRequest, service: Service, policy: DailyPolicy
    ) -> MorningStartupResult:
        day = LocalDay(self, service)
        desk = Desk(self, service.model_copy(update={"channel": policy.channel}), "P1", self.title, "MORNING")
        escalation = Escalation(self, service, policy, day, desk)
        self.phase("Look at everything")
        night = await self._night(service, policy, escalation)
        todo = to_do(service, night)
        self.say("decision", f"{service.name} is {night.condition.overall}", section="1.1/3")
        for part in night.condition.unwell:
            self.say("problem", str(part), section="1.1/3")
        became: Outcome | None = None
        asked: asyncio.Task[Outcome] | None = None
        if night.condition.down:
            self.phase("Escalate")
            if workflow.patched("joined-by-word"):
                working = await escalation.tell_who_has_it(night.condition, night.incidents, night.runs)
            else:
                working = escalation.at_work(night.incidents, night.runs)
            if working:
                self.say("decision", f"it is down, and {working} is at work on it")
                became = "joined"
            elif policy.incident == "auto" and night.incidents is not None and night.runs is not None:
                became = await escalation.start(night.condition)
            else:  # people want to be asked, or whether somebody is at it already is not known
                asked = self.background(escalation.ask(night.condition))
        self.phase("Summary")
        message = PostMessage(
            channel=policy.channel,
            text=escaped(summary(service, day, night, todo, became, asks=asked is not None)),
            picture=night.figures.picture,
            effect=day.effect("post-morning", again=request.again),
        )
        posted = await self.attempt("1.1/6", f"Summary to {policy.channel}", Slack.post, message, policies.DAILY)
        self.clocks.met("Morning")
        self.clocks.stop()
        took = (workflow.now() - workflow.info().workflow_start_time).total_seconds()
        if asked is not None:
            became = await asked
        await self.settle()
        self.finish("planned" if self.dry_run else night.condition.overall)
        return MorningStartupResult(
            overall=night.condition.overall,
            reasons=[str(part) for part in night.condition.unwell],
            figures=night.figures.values,
            to_do=todo,
            incident=became or "none",
            posted=posted is not None,
            seconds=took,
        )

    async def _night(self, service: Service, policy: DailyPolicy, escalation: Escalation) -> Night:
        since = workflow.now() - policy.night
        matchers = policy.alerts or f'service="{service.name}"'
        found, fired, alerts, stretch, tickets, runs, incidents = await asyncio.gather(
            condition(self, "1.1/3", service, policy),
            self.attempt(
                "1.1/2",
                "Alerts of the night",
                PrometheusMetrics.alerts,
                FiredRequest(matchers=matchers, over=policy.night),
                policies.READ,
            ),
            self.attempt(
                "1.1/2",
                "Alerts in the records",
                Records.alerts_since,
                AlertsSince(service=service.name, since=since),
                policies.READ,
            ),
            Reading(self, "1.1/4", service, policy, policy.night).figures(FIGURES),
            self.attempt("1.1/5", "Support queue", Support.tickets, TicketsRequest(), policies.READ),
            self.attempt("1.1", "Open runs", Runs.of_service, ServiceRunsRequest(service=service.name), policies.READ),
            escalation.open_incidents(),
        )
        return Night(
            since=since,
            condition=found,
            fired=fired,
            alerts=alerts,
            figures=stretch,
            tickets=tickets,
            runs=runs,
            incidents=incidents,
        )

    async def _late(self, clock: Clock) -> None:
        self.say("problem", f"the morning takes longer than {clock.due_at - workflow.info().workflow_start_time}")
