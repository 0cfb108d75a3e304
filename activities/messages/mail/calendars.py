"""Calendar entries (.ics), as post-mortems, kickoffs and reviews are invited to."""

import hashlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from activities.messages.mail.addresses import as_link
from libraries import icalendar


class Meeting(BaseModel):
    """When people meet, and why."""

    title: str
    start: datetime = Field(description="With time zone.")
    time_zone: str
    duration: timedelta = timedelta(hours=1)
    description: str = ""
    attendees: tuple[str, ...] = Field(default=(), description="Mail addresses.")


def calendar_file(meeting: Meeting, key: str) -> bytes:
    """Write the entry; the same key gives the same entry, so that a calendar knows it again."""
    start = meeting.start.astimezone(ZoneInfo(meeting.time_zone))
    entry = icalendar.Event.new(
        uid=f"{hashlib.sha256(key.encode()).hexdigest()[:32]}@durable-runbooks",
        summary=meeting.title,
        description=meeting.description or None,
        # By the wall clock: an hour is an hour for those who attend.
        start=start,
        end=start + meeting.duration,
        stamp=datetime.now(UTC),
    )
    for attendee in meeting.attendees:
        entry.add("attendee", icalendar.vCalAddress(as_link(attendee)))
    calendar = icalendar.Calendar.new(prodid="-//durable runbooks//EN", subcomponents=[entry])
    # Rules for the years around it are enough, and keep the file readable.
    year = timedelta(days=366)
    calendar.add_missing_timezones(first_date=(start - year).date(), last_date=(start + year).date())
    written: bytes = calendar.to_ical()
    return written
