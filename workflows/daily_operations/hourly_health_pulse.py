"""Hourly health pulse (runbook 1.2): one look, and one warning for as long as the service is not healthy."""

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.messages.chat.chat import PostMessage, Slack, escaped
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.records.activities import Records
from activities.records.incidents import OpenIncidentsRequest
from activities.records.pulse import RecordPulse
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason


class HourlyHealthPulseRequest(ServiceRequest):
    """Look at a service once."""


class HourlyHealthPulseResult(BaseModel):
    """What was seen; the schedule hands it to the next pulse."""

    healthy: bool
    says: str
    warned: bool = Field(description="Whether people have been told that it is not healthy.")
    behind: bool = Field(
        default=False, description="The records or the channel could not be told: the next pulse goes by this result."
    )


@workflow.defn
class HourlyHealthPulse(Runbook):
    """Ask the service, warn once, and say once that it is over."""

    SECTION = "1.2"

    @workflow.run
    async def run(self, request: HourlyHealthPulseRequest) -> HourlyHealthPulseResult:
        """Follow 1.2.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        service = await self.begin(request, title="Hourly health pulse", service=request.service)
        self.title = f"Pulse of {service.name}"
        try:
            return await self._pulse(service, service.daily or DailyPolicy())
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _pulse(self, service: Service, policy: DailyPolicy) -> HourlyHealthPulseResult:
        healthy, says = await self._look(service)
        if not healthy:
            # A blip at the full hour is none of the hour's health.
            await workflow.sleep(policy.confirm_after, summary="until it is asked again")
            healthy, says = await self._look(service)
        recorded = await self.attempt(
            "1.2/2",
            "Record the pulse",
            Records.pulse,
            RecordPulse(
                service=service.name, at=workflow.now(), healthy=healthy, says=says, effect=self.effect("pulse")
            ),
            policies.RECORD,
        )
        last = self._last()
        warned = _was_warned(recorded, last)
        behind = recorded is None
        if warned == healthy:  # people know otherwise
            told = await self._tell(service, policy, says, healthy=healthy)
            warned, behind = (not healthy, behind) if told else (warned, True)
        self.finish("planned" if self.dry_run else "healthy" if healthy else "warning")
        return HourlyHealthPulseResult(healthy=healthy, says=says, warned=warned, behind=behind)

    async def _look(self, service: Service) -> tuple[bool, str]:
        """Ask it; not being able to ask is nothing healthy."""
        try:
            seen = await self.step(
                "1.2/1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False, f"it could not be asked: {reason(error)}"
        return seen.healthy, str(seen)

    def _last(self) -> HourlyHealthPulseResult | None:
        """Give what the schedule's pulse before this one left; None where a person has started this one."""
        if not workflow.has_last_completion_result():
            return None
        return workflow.get_last_completion_result(HourlyHealthPulseResult)

    async def _tell(self, service: Service, policy: DailyPolicy, says: str, *, healthy: bool) -> bool:
        step = "post-healthy" if healthy else "post-warning"
        if healthy:
            text = f":white_check_mark: {service.name} is healthy again: {says}"
        else:
            text = f":warning: Hourly pulse: {service.name} is not healthy: {says}. {await self._incident(service)}"
        posted = await self.attempt(
            "1.2/2",
            "Tell the channel",
            Slack.post,
            PostMessage(channel=policy.channel, text=escaped(text), effect=self.effect(step)),
            policies.RECORD,
        )
        return posted is not None

    async def _incident(self, service: Service) -> str:
        """Say who is at it already, for whoever reads the warning."""
        asked = OpenIncidentsRequest(service=service.name, severities=["P1", "P2"])
        found = await self.attempt("1.2", "Open incidents", Records.open_incidents, asked, policies.READ)
        if found is None:
            return "Whether it has an incident is not known: the records don't answer."
        if not found.led:
            return f"No incident is open: `runbooks start p1-incident --set service={service.name}` if it is down."
        return f"{found.led[0].incident_id} is open."


def _was_warned(recorded: Change | None, last: HourlyHealthPulseResult | None) -> bool:
    """Tell what people know: by the records, unless these have missed something that the last pulse did."""
    if last is not None and (recorded is None or last.behind):
        return last.warned
    return recorded is not None and recorded.before == "warning"
