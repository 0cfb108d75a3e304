"""Mail to customers, from templates in files (runbook 5.1, 5.2, 7.3, 8.2).

A mail is written into the records in the transaction that gives it to the mail server. Where a worker dies between the
two, the next attempt sends it again under the same Message-ID, by which mailboxes know it for the same.
"""

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, parseaddr
from functools import cache
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import InvalidInput, Misconfigured, Refused
from activities.handovers.handovers import Handovers
from activities.messages.mail.addresses import sent_as
from activities.messages.mail.calendars import Meeting, calendar_file
from activities.records.ledger import Ledger, Rows
from audit.text import counted, shown
from libraries import jinja2

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection


class SendMail(BaseModel):
    """One mail to one person: `tensafe-admin notify customer` (8.2), `tensafe-admin notify customers` (7.3 step 7)."""

    to: str = Field(description="Mail address.")
    name: str = ""
    template: str = Field(description="A pair of files in `activities/mails`, e.g. `welcome`.")
    values: dict[str, str] = Field(default_factory=dict, description="What the template names. No secrets.")
    handover_id: str | None = Field(default=None, description="Secret for the template's `handover`: its link.")
    meeting: Meeting | None = Field(default=None, description="Attached as .ics.")
    effect: Effect


class Recipient(BaseModel):
    """One of many."""

    to: str = Field(description="Mail address.")
    name: str = ""


class SendMails(BaseModel):
    """The same mail to many people, each of whom gets one of their own: `tensafe-admin maintenance notify` (6.1)."""

    recipients: list[Recipient] = Field(max_length=500)
    template: str = Field(description="A pair of files in `activities/mails`, e.g. `maintenance_scheduled`.")
    values: dict[str, str] = Field(default_factory=dict, description="What the template names. No secrets.")
    effect: Effect


class MailsSent(Change):
    """How many were taken, and which were not."""

    refused: list[str] = Field(default_factory=list, description="Addresses that no mail is taken for.")


class MailServer(Protocol):
    """What takes mails."""

    def send(self, message: EmailMessage, *, dry_run: bool) -> None:
        """Give it a mail; in plan mode ask only whether it would take one."""


class Mail:
    """Writes and sends mails.

    Raises:
        InvalidInput: the address is none.
        Refused: the mail server takes no mail for this address.
        Unavailable: the mail server or the records don't answer.
        Misconfigured: the template names a value that isn't given; the mail server takes nothing from us.

    """

    def __init__(
        self, pool: "ConnectionPool[BoundedConnection]", server: MailServer, handovers: Handovers, sender: str
    ) -> None:
        self._ledger = Ledger(pool)
        self._server = server
        self._handovers = handovers
        self._sender = sender

    @activity.defn(name="mail.send")
    @effect
    def send(self, request: SendMail) -> Change:
        """Send a mail."""
        where = self._handovers.where(request.handover_id) if request.handover_id else None
        message = compose(request, self._sender, where)

        def work(rows: Rows) -> Change:
            _record(rows, request, message)
            self._server.send(message, dry_run=request.effect.dry_run)
            return Change(target=f"mail/{request.to}", after=str(message["Subject"]), applied=True)

        return self._ledger.once(request.effect, "mail.send", work)

    @activity.defn(name="mail.send_all")
    @effect
    def send_all(self, request: SendMails) -> MailsSent:
        """Send a mail to each; whoever had theirs in an earlier attempt gets no second one.

        An address that is none, or is refused, keeps nobody else from theirs.
        """
        applied, refused = 0, []
        for recipient in request.recipients:
            name = hashlib.sha256(recipient.to.encode()).hexdigest()[:12]
            mine = request.effect.model_copy(update={"key": f"{request.effect.key}-{name}"})
            mail = SendMail(
                to=recipient.to, name=recipient.name, template=request.template, values=request.values, effect=mine
            )
            try:
                applied += self.send(mail).applied
            except (InvalidInput, Refused):
                refused.append(recipient.to)
        taken = len(request.recipients) - len(refused)
        return MailsSent(
            target=f"mails/{request.template}",
            after=f"{counted(taken, 'mail')} taken",
            applied=applied > 0,
            refused=refused,
            note=f"{counted(len(refused), 'address', 'addresses')} refused" if refused else "",
        )


def _record(rows: Rows, request: SendMail, message: EmailMessage) -> None:
    effect = request.effect
    rows.execute(
        """
        INSERT INTO runbooks.mails (message_id, recipient, subject, template, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            str(message["Message-ID"]),
            request.to,
            str(message["Subject"]),
            request.template,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )


def compose(request: SendMail, sender: str, handover: str | None) -> EmailMessage:
    """Write the mail, text and HTML; raises as `Mail` does."""
    said = {name: shown(value) for name, value in {**request.values, "name": request.name}.items()}
    values = {**said, **({"handover": handover} if handover else {})}
    message = EmailMessage()
    message["To"] = _header(" ".join(said["name"].split()), request.to)
    subject, _, text = _rendered(request.template, "txt", values).partition("\n")
    message["Subject"] = " ".join(subject.split())
    message["From"] = author = _header(*parseaddr(sender))
    message["Date"] = localtime()
    # The same for every attempt.
    name = hashlib.sha256(request.effect.key.encode()).hexdigest()[:40]
    message["Message-ID"] = f"<{name}@{author.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.strip() + "\n")
    message.add_alternative(_rendered(request.template, "html", values), subtype="html")
    if request.meeting is not None:
        message.add_attachment(
            calendar_file(request.meeting, request.effect.key),
            maintype="text",
            subtype="calendar",
            filename="invitation.ics",
        )
    return message


def _header(name: str, address: str) -> Address:
    """Write a person's name and address, the domain in ASCII: so that any server takes it."""
    try:
        user, domain = sent_as(address)
        return Address(name, username=user, domain=domain)
    except ValueError as error:
        raise InvalidInput(f"to: {error}") from None


def _rendered(template: str, kind: str, values: dict[str, str]) -> str:
    try:
        return _templates().get_template(f"{template}.{kind}.j2").render(values)
    except jinja2.TemplateNotFound:
        message = f"there is no mail template {template!r}"
    except jinja2.UndefinedError as error:
        message = f"mail template {template!r}: {error.message}"
    raise Misconfigured(message)


@cache
def _templates() -> "jinja2.Environment":
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("activities.messages.mail", "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    return environment
