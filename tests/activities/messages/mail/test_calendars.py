"""An invitation stands in the calendar as the mail says it."""

from datetime import UTC, datetime
from typing import Any

import icalendar
from psycopg_pool import ConnectionPool

from activities.messages.mail.calendars import Meeting
from sandbox.mail_server import MailServer
from tests.activities.messages.mail.mails import mail, request


def test_an_invitation_is_attached(records_pool: ConnectionPool[Any], server: MailServer, to: str) -> None:
    start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    meeting = Meeting(title="Kickoff", start=start, time_zone="Europe/Berlin", attendees=(to,))
    mail(records_pool, server.port).send(request(to, meeting=meeting))
    (attachment,) = server.received(to)[0].iter_attachments()
    assert (attachment.get_content_type(), attachment.get_filename()) == ("text/calendar", "invitation.ics")
    event = icalendar.Calendar.from_ical(attachment.get_content()).walk("VEVENT")[0]
    assert (event["summary"], event.decoded("dtstart")) == ("Kickoff", start)
