"""Which day a run is about, by the clock of the service, and what is done once on that day."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from activities.catalogue.service import Service
from activities.common.effects import Effect
from workflows.platform.runbook import Runbook

_SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
"""When a schedule meant the run to begin; it may begin later, after an outage."""


class LocalDay:
    """The day of one run."""

    def __init__(self, run: Runbook, service: Service) -> None:
        self._run = run
        self._service = service
        info = workflow.info()
        self.zone = ZoneInfo(service.time_zone)
        meant = info.typed_search_attributes.get(_SCHEDULED) or info.workflow_start_time
        self.day: date = meant.astimezone(self.zone).date()

    def effect(self, step: str, *, again: bool) -> Effect:
        """Give an effect that is the same for every run of the day, so that it happens once, whoever starts another.

        With `again` it is this run's own.
        """
        mine = self._run.effect(step)
        if again:
            return mine
        kind = workflow.info().workflow_type
        return mine.model_copy(update={"key": f"{kind}/{self._service.name}/{self.day}/{step}"})

    def local(self, at: datetime) -> datetime:
        """Give a moment as the service's clock shows it."""
        return at.astimezone(self.zone)

    def clock(self, at: datetime) -> str:
        """Give a moment as people of the service say it: the time, and the weekday where it is another day."""
        there = self.local(at)
        return f"{there:%H:%M}" if there.date() == self.day else f"{there:%a %H:%M}"

    def tomorrow(self) -> tuple[datetime, datetime]:
        """Give the next day's beginning and end."""
        begin, end = (datetime.combine(self.day + timedelta(days=n), datetime.min.time(), self.zone) for n in (1, 2))
        return begin, end
