"""Mails as runs send them."""

from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.handovers.links import HandoverLinks
from activities.messages.mail.mail import Mail, SendMail
from activities.messages.mail.servers import SmtpServer
from sandbox.ports import LOOPBACK
from tests.records_schema.fixtures import effect

LINKS = HandoverLinks(SecretStr("a secret of the settings"), "https://ops.example", timedelta(days=7))


SENDER = "TenSafe operations <ops@tensafe.test>"


TEMPLATES = Path(__file__).parents[4] / "activities/messages/mail/templates"


VALUES = {
    "product": "TenSafe",
    "old_key": "tsk_old",
    "new_key": "tsk_new",
    "calls": "12",
    "last_used": "11:05 UTC",
    "ends": "tomorrow",
    "old_key_end": "ends tomorrow",
    "reason": "scheduled",
    "tenant": "acme",
    "csm": "Ada & Co",
    "email": "it@acme.test",
    "when": "Friday",
    "title": "check-in",
    "ticket": "TCK-1",
    "summary": "<b>slow</b>",
    "eta": "1 hour",
    "headline": "found",
    "message": "We found it.",
    "day": "2026-02-05",
    "impact": "brief",
    "how": "cancelled",
    "what": "It does not take place.",
    "next": "More within an hour.",
    "since": "12:00 UTC",
    "until": "12:30 UTC",
}


def request(
    to: str, template: str = "api_key_revoked", *, step: str = "mail", dry_run: bool = False, **more: Any
) -> SendMail:
    return SendMail(to=to, template=template, values=VALUES, effect=effect("mail", dry_run=dry_run), **more)


def mail(pool: ConnectionPool[Any], port: int, **more: Any) -> Mail:
    return Mail(pool, SmtpServer(LOOPBACK, port, more.get("security", "none"), more.get("login")), LINKS, SENDER)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())
