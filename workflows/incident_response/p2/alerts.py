"""The alerts that join a P2, and their ends (runbook 2.3), as long as the incident is the run's own."""

from activities.records.alerts import Alert
from workflows.incident_response.joined_alerts import UnnamedEnds, named_end, was_over
from workflows.incident_response.p2.happened import P2Happened
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident


class P2Alerts:
    """The alerts of one P2."""

    def __init__(self, run: Runbook, incident: HushedIncident, happened: P2Happened) -> None:
        self.run = run
        self.incident = incident
        self.all: list[Alert] = []
        self._happened = happened
        self._ends = UnnamedEnds()
        self._over: set[str] = set()
        """Firings whose end was told."""

    @property
    def firing(self) -> list[Alert]:
        """Those alerts whose end nobody has told."""
        return [alert for alert in self.all if alert.episode not in self._over]

    async def arrive(self, alert: Alert) -> None:
        """Take another firing, which joins this incident, or the end of one."""
        if alert.status == "resolved":
            self.run.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
            self._ends.add(alert)
            ended = named_end(alert, self.all)
            self._over.add(ended.episode)
            await self.incident.alert_resolved(ended)
        elif self.run.has_taken(alert) or was_over(self.run, alert, self._ends):
            return
        elif self._happened.resolution:
            self.run.say("signal", f"{alert.name} fires while this incident is being closed: a new incident follows")
            self._happened.next_alert = alert
        else:
            self.run.say("signal", f"{alert.name} fires: joins this incident")
            self.join(alert)
            await self.incident.acknowledge(alert)

    def join(self, alert: Alert) -> None:
        """Know a firing that is this incident's."""
        self.run.took(alert)
        self.all.append(alert)
