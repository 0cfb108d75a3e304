"""Morning, pulse and evening of a service that does not answer: each says so once."""

from typing import Any, ClassVar

from temporalio.client import WorkflowHandle

from tests.crash.customers import CustomerScenario
from tests.crash.people import tell, when
from tests.crash.scenario import Case
from workflows.daily_operations.end_of_day import EndOfDayRequest
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulseRequest
from workflows.daily_operations.morning_startup import MorningStartup, MorningStartupRequest
from workflows.platform.approval import Decision


class DayScenario(CustomerScenario):
    """Neither the service nor its metrics answer; the records do."""

    has_a_tenant = False

    def _prepare(self, case: Case) -> dict[str, Any]:
        settings = super()._prepare(case)
        settings["services"][case.namespace]["daily"] = {"confirm_after": "PT0.1S", "incident": "ask"}
        return settings


class MorningScenario(DayScenario):
    """A person leaves it to others."""

    name = "morning-startup"
    procedure = "morning_startup"
    leaves: ClassVar = {"messages post-morning": 1, "messages post-incident": 1}

    def request(self, case: Case) -> MorningStartupRequest:
        return MorningStartupRequest()

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: bool(status.questions))
        word = Decision(question="incident", choice="leave", who="ada", role="on-call")
        await tell(handle, MorningStartup.decide, word)


class PulseScenario(DayScenario):
    name = "hourly-health-pulse"
    procedure = "hourly_health_pulse"
    leaves: ClassVar = {"audit_log pulse": 1, "messages post-warning": 1}

    def request(self, case: Case) -> HourlyHealthPulseRequest:
        return HourlyHealthPulseRequest()


class EveningScenario(DayScenario):
    name = "end-of-day"
    procedure = "end_of_day"
    leaves: ClassVar = {"audit_log report": 1, "messages post-handoff": 1}

    def request(self, case: Case) -> EndOfDayRequest:
        return EndOfDayRequest()
