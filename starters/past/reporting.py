"""The month's report: the runs of Temporal and the archive, counted against the response times of 2.1."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from audit.report import Month, Report
from audit.report_counting import Counting
from audit.store_filter import Filter
from audit.story import Story
from starters.past.searching import Search
from workers.settings import Settings
from workflows.incident_response.severity import SEVERITIES, respond_by

TARGETS: dict[str, timedelta | None] = {name: row.response_within for name, row in SEVERITIES.items()}


def responses(settings: Settings) -> Callable[[Story], datetime | None]:
    """Give until when 2.1 wants a response; P4's business day is in the zone of the service."""

    def due(story: Story) -> datetime | None:
        severity = next((name for name in SEVERITIES if name == story.severity), None)
        if severity is None:
            return None
        service = settings.services.get(story.service)
        return respond_by(severity, story.started_at, service.time_zone if service else "UTC")

    return due


async def count_month(search: Search, settings: Settings, month: Month) -> Report:
    """Count the runs of a month."""
    drills = [name for name, service in settings.services.items() if service.drill]
    counting = Counting(month, datetime.now(UTC), responses(settings), TARGETS, drills)
    async for found in search.all(Filter(since=month.since, until=month.until)):
        if (before := await _reset_from(search, found.story)) is not None:
            counting.supersedes(before, by=found.story)
        counting.add(found.story)
    return counting.report()


async def _reset_from(search: Search, story: Story) -> Story | None:
    """Give the run that somebody has reset into this one; its history begins with the same events, at the same time."""
    if not story.continued_from:
        return None
    before = await search.one(story.namespace, story.run.workflow_id, story.continued_from)
    return before if before is not None and before.started_at == story.started_at else None
