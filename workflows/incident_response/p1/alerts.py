"""The alerts that join a P1, and their ends (runbook 2.2): one incident a service, however many of its alerts fire."""

import asyncio
from collections.abc import Sequence

from temporalio import workflow

from activities.records.alerts import Alert
from workflows.incident_response.joined_alerts import JoinedAlerts, News, UnnamedEnds, batched, named, was_over
from workflows.incident_response.p1.happened import P1Happened
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident

_AT_ONCE = 50
"""Alerts that are recorded at a time."""


class P1Alerts:
    """The alerts of one P1."""

    def __init__(self, run: Runbook, incident: HushedIncident, happened: P1Happened) -> None:
        self.run = run
        self.incident = incident
        self.next: list[Alert] = []
        """Those that fired while the incident was being closed: they begin a new one."""
        self._happened = happened
        self._joined = JoinedAlerts()
        self._ends = UnnamedEnds()

    def began_with(self, alert: Alert) -> None:
        """Know the alert that the run began with."""
        self._joined.fires(alert)

    async def arrive(self, alerts: Sequence[Alert]) -> None:
        """Take the alerts of one post; what they change counts at once, what is recorded of it follows."""
        news = News()
        for alert in alerts:
            if alert.status == "resolved":
                self._ended(alert, news)
            else:
                self._fires(alert, news)
        self.run.took(*news.joined)
        if news.joined and self._happened.today:
            self.run.background(self.incident.tell("joined", f":link: joins {self.incident.id}: {news}"))
        # A storm may have thousands, and Temporal lets a run have two thousand steps in flight.
        for some in batched(news.joined, _AT_ONCE):
            await asyncio.gather(*(self.incident.acknowledge(alert) for alert in some))
        for some in batched(news.ended, _AT_ONCE):
            await asyncio.gather(*(self.incident.alert_resolved(alert) for alert in some))

    def _fires(self, alert: Alert, news: News) -> None:
        if was_over(self.run, alert, self._ends):
            self._joined.ends(alert)
            return
        if not self._joined.fires(alert):
            return
        if self._happened.closing is not None:
            again = f"{alert.name} fires again while this incident is being closed: a new incident follows"
            self.run.say("signal", again)
            self.next.append(alert)
            return
        self.run.say("signal", f"{named([alert])} fires: joins this incident")
        news.joined.append(alert)
        self._happened.fired_again = True

    def _ended(self, alert: Alert, news: News) -> None:
        """Take an end; that a trouble is over is said by the last of its alerts, and not by the first."""
        self._ends.add(alert)
        if alert.key or (alert.of_whichever and workflow.patched("ends-whichever")):
            alert = self._joined.named(alert)
        self.next = [one for one in self.next if one.episode != alert.episode]
        ours = self._joined.ends(alert)
        if self._happened.today and not ours:
            return
        left = self._joined.firing
        still = f"; still firing: {named(left)}" if left else ""
        self.run.say("signal", f"{named([alert])} has resolved by itself, says {alert.source}{still}")
        if not left or not self._happened.today:
            self._happened.resolutions += 1
        news.ended.append(alert)
