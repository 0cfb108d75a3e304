"""End of day (runbook 1.3): the day in figures, what is handed over and to whom, and the report that is kept of it.

The page types `tensafe-admin metrics daily-summary`, `tensafe-admin support list` and `tensafe-admin oncall handoff`.
"""

import asyncio
from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from activities.customers.tickets import Support, TicketsRequest
from activities.messages.chat.chat import PostMessage, Slack, escaped
from activities.messages.chat.pictures import Mark, Picture
from activities.monitoring.runs import Runs, ServiceRunsRequest
from activities.records.activities import Records
from activities.records.days import AlertsSince, KeepReport, ReportsRequest, ShiftsRequest
from activities.records.deployments import RecentDeploymentsRequest
from activities.records.incidents import OpenIncidentsRequest
from activities.records.windows import MaintenanceWindows, WindowsRequest
from workflows.daily_operations.condition import Colour, condition
from workflows.daily_operations.figures import Reading, marked
from workflows.daily_operations.handoff import Evening, for_slack, handoff, kept_figures
from workflows.daily_operations.local_day import LocalDay
from workflows.platform import policies
from workflows.platform.clocks import Clock
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook

_BUSINESS = ("new_customers", "mrr", "dau")
_BEFORE = (1, 7)
_DEPLOYMENTS = 50


class EndOfDayRequest(ServiceRequest):
    """Close a service's day."""

    again: bool = Field(
        default=False, description="Post the handoff although the day has one already; the day's first report stays."
    )


class EndOfDayResult(BaseModel):
    """The day's report."""

    day: date
    time_zone: str
    overall: Colour
    figures: dict[str, float | None]
    handoff: str = Field(description="Markdown.")
    report: Literal["kept", "known", "not kept"] = Field(description="known: the day had one already.")
    posted: bool
    seconds: float = Field(description="From the run's start until it was handed over.")


@workflow.defn
class EndOfDay(Runbook):
    """Read the day, hand it over, keep its report: once a day, whoever starts another run."""

    SECTION = "1.3"

    @workflow.run
    async def run(self, request: EndOfDayRequest) -> EndOfDayResult:
        """Follow 1.3.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        service = await self.begin(request, title="End of day", service=request.service, severity="P4")
        self.title = f"End of day of {service.name}"
        policy = service.daily or DailyPolicy()
        self.clocks.start("Handed over", policy.evening_within, self._late)
        try:
            return await self._evening(request, service, policy)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _evening(self, request: EndOfDayRequest, service: Service, policy: DailyPolicy) -> EndOfDayResult:
        day = LocalDay(self, service)
        self.phase("Summary of the day")
        evening = await self._read(service, policy, day)
        text = handoff(service, day, evening)
        self.phase("Handoff")
        message = PostMessage(
            channel=policy.handoff_channel,
            text=escaped(for_slack(text)),
            picture=self._picture(evening),
            effect=day.effect("post-handoff", again=request.again),
        )
        keep = KeepReport(
            service=service.name,
            day=day.day,
            time_zone=service.time_zone,
            made_at=evening.now,
            figures=kept_figures(evening),
            handoff=text,
            effect=self.effect("report"),
        )
        posted, kept = await asyncio.gather(
            self.attempt("1.3/5", f"Handoff to {policy.handoff_channel}", Slack.post, message, policies.DAILY),
            self.attempt("1.3/6", "Keep the day's report", Records.keep_report, keep, policies.DAILY),
        )
        self.clocks.met("Handed over")
        self.clocks.stop()
        took = (workflow.now() - workflow.info().workflow_start_time).total_seconds()
        await self.settle()
        self.finish("planned" if self.dry_run else "handed over" if posted else "not handed over")
        known = kept is not None and bool(kept.note)
        return EndOfDayResult(
            day=day.day,
            time_zone=service.time_zone,
            overall=evening.condition.overall,
            figures=keep.figures,
            handoff=text,
            report="not kept" if kept is None or self.dry_run else "known" if known else "kept",
            posted=posted is not None and not self.dry_run,
            seconds=took,
        )

    async def _read(self, service: Service, policy: DailyPolicy, day: LocalDay) -> Evening:
        now = workflow.now()
        begin, end = day.tomorrow()
        before = [day.day - timedelta(days=ago) for ago in _BEFORE]
        found, stretch, alerts, incidents, deployments, tickets, runs, shifts, reports = await asyncio.gather(
            condition(self, "1.3/1", service, policy),
            Reading(self, "1.3/1", service, policy, policy.day).figures(_BUSINESS),
            self.attempt(
                "1.3/1",
                "Alerts of the day",
                Records.alerts_since,
                AlertsSince(service=service.name, since=now - policy.day),
                policies.READ,
            ),
            self.attempt(
                "1.3/4",
                "Open incidents",
                Records.open_incidents,
                OpenIncidentsRequest(service=service.name, severities=["P1", "P2", "P3", "P4"]),
                policies.READ,
            ),
            self.attempt(
                "1.3/4",
                "Changes of the day",
                Records.recent_deployments,
                RecentDeploymentsRequest(service=service.name, since=policy.day, limit=_DEPLOYMENTS),
                policies.READ,
            ),
            self.attempt("1.3/3", "Pending tickets", Support.tickets, TicketsRequest(), policies.READ),
            self.attempt(
                "1.3/4", "Open runs", Runs.of_service, ServiceRunsRequest(service=service.name), policies.READ
            ),
            self.attempt(
                "1.3/4",
                "Shifts of tomorrow",
                Records.shifts,
                ShiftsRequest(rotation=service.on_call, begin=begin, end=end),
                policies.READ,
            ),
            self.attempt(
                "1.3/2",
                "Reports to compare with",
                Records.reports,
                ReportsRequest(service=service.name, days=before),
                policies.READ,
            ),
        )
        windows = None
        if workflow.patched("windows-of-tomorrow"):
            asked = WindowsRequest(service=service.name, begin=begin, end=end)
            windows = await self.attempt(
                "1.3/4", "Windows of tomorrow", MaintenanceWindows.between, asked, policies.READ
            )
        return Evening(
            now=now,
            condition=found,
            figures=stretch,
            alerts=alerts,
            incidents=incidents,
            deployments=deployments,
            tickets=tickets,
            runs=runs,
            shifts=shifts,
            windows=windows,
            before=reports,
        )

    def _picture(self, evening: Evening) -> Picture | None:
        releases = evening.deployments.items if evening.deployments else []
        marks = [Mark(at=one.started_at, text=f"{one.version} {one.status.replace('_', ' ')}") for one in releases]
        picture = evening.figures.picture
        return marked(picture, [mark for mark in marks if picture and mark.at >= picture.begin])

    async def _late(self, clock: Clock) -> None:
        self.say("problem", f"the evening takes longer than {clock.due_at - workflow.info().workflow_start_time}")
