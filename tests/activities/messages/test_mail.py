"""Mail through a real SMTP server, and through servers that refuse, stall and die."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import icalendar
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.common.errors import InvalidInput, Misconfigured, Refused, Unavailable
from activities.handovers.links import HandoverLinks
from activities.messages.mail.calendars import Meeting
from activities.messages.mail.mail import Mail, Recipient, SendMail, SendMails, compose
from activities.messages.mail.servers import RecordsMail, SmtpServer
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from tests.records_schema.fixtures import count, effect
from workers import settings
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboardingRequest
from workflows.customer_operations.onboarding_words import Resend

LINKS = HandoverLinks(SecretStr("a secret of the settings"), "https://ops.example", timedelta(days=7))
SENDER = "TenSafe operations <ops@tensafe.test>"
TEMPLATES = Path(__file__).parents[3] / "activities/messages/mail/templates"
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


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    return mail_server


@pytest.fixture
def to() -> str:
    return f"it-{uuid4().hex[:8]}@acme.test"


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Inbox:
    """What a server was given; it offers SMTPUTF8 or not."""

    def __init__(self) -> None:
        self.recipients: list[str] = []
        self.content = b""
        self.port = free_port()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.recipients += envelope.rcpt_tos
        assert isinstance(envelope.content, bytes)
        self.content = envelope.content
        return "250 OK"


@pytest.fixture(params=[False, True], ids=["ASCII", "SMTPUTF8"])
def inbox(request: pytest.FixtureRequest) -> Iterator[Inbox]:
    inbox = Inbox()
    controller = Controller(inbox, hostname=LOOPBACK, port=inbox.port, enable_SMTPUTF8=request.param)
    controller.start()
    inbox.offers = request.param  # type: ignore[attr-defined]
    yield inbox
    controller.stop()


INVITED = Meeting(
    title="Kickoff", start=datetime(2026, 5, 1, tzinfo=UTC), time_zone="UTC", attendees=("jürgen@bücher.test",)
)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("sender", [SENDER, "Büro <ops@bücher.test>"])
def test_an_international_domain_reaches_any_server(inbox: Inbox, sender: str, *, dry_run: bool) -> None:
    message = compose(request("grace@bücher.test", "meeting", name="Grace Müller", meeting=INVITED), sender, None)
    SmtpServer(LOOPBACK, inbox.port, "none", None).send(message, dry_run=dry_run)
    assert inbox.recipients == ([] if dry_run else ["grace@xn--bcher-kva.test"])
    if not dry_run:
        assert b"bcher-kva.test>" in inbox.content
        calendar = "".join(str(part.get_content()) for part in message.iter_attachments())
        assert "mailto:j%C3%BCrgen@xn--bcher-kva.test" in calendar.replace("\r\n ", "")


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("to", ["jürgen@firma.test", "用户@例子.广告"])
def test_a_name_beyond_ascii_needs_a_server_that_offers_it(inbox: Inbox, to: str, *, dry_run: bool) -> None:
    message = compose(request(to, name="Jürgen"), SENDER, None)
    server = SmtpServer(LOOPBACK, inbox.port, "none", None)
    if not inbox.offers:  # type: ignore[attr-defined]
        with pytest.raises(Refused, match=r"it offers no SMTPUTF8.*: ask the customer for another address"):
            server.send(message, dry_run=dry_run)
        with pytest.raises(Misconfigured, match=r"give \[mail\] sender another"):
            server.send(compose(request("it@acme.test"), "büro@firma.test", None), dry_run=dry_run)
        return
    server.send(message, dry_run=dry_run)
    name, _, domain = to.partition("@")
    ascii_domain = {"例子.广告": "xn--fsqu00a.xn--4rr70v"}.get(domain, domain)
    assert inbox.recipients == ([] if dry_run else [f"{name}@{ascii_domain}"])


GOOD_ADDRESSES = [
    "it@acme.test",
    "grace@bücher.example",
    "jürgen@firma.example",
    "用户@例子.广告",
    "o'brien+x@a-b.example",
    "Ada.Lovelace@EXAMPLE.example",
    "x@xn--bcher-kva.example",
]
NO_ADDRESSES = [
    "it@acme..test",
    "it@-acme.test",
    "a..b@acme.test",
    "it@acme_x.test",
    '"a b"@acme.test',
    "it@[127.0.0.1].x",
    "it@acme.test, x@y.test",
    "Grace <it@acme.test>",
    "it@acme.test\u202e",
    "it@" + 70 * "a" + ".test",
    "a@b@c.test",
    "=?utf-8?q?it?=@acme.test",
    "=?utf-8?b?aXRAeC50ZXN0?=@acme.test",
]


@pytest.mark.parametrize("address", [*GOOD_ADDRESSES, *NO_ADDRESSES])
def test_an_address_is_judged_alike_when_a_run_starts_and_when_it_is_used(address: str) -> None:
    known = {"who": "ada", "role": "csm"}
    places: list[Callable[[], object]] = [
        lambda: EnterpriseOnboardingRequest(name="Acme", contact_name="Grace", email=address),
        lambda: Resend(**known, email=address),
        lambda: settings.MailSettings(sender=f"Operations <{address}>"),
        lambda: compose(request(address), SENDER, None),
    ]
    if re.search("[<,]", address):  # of these a header can be made, which is what settings have
        del places[2]
    for place in places:
        if address in GOOD_ADDRESSES:
            place()
        else:
            with pytest.raises((ValueError, InvalidInput), match=r"mail address|email|sender"):
                place()


@pytest.mark.parametrize("template", sorted({file.name.split(".")[0] for file in TEMPLATES.glob("*.txt.j2")}))
def test_every_template_arrives_as_text_and_html(
    records_pool: ConnectionPool[Any], server: MailServer, to: str, template: str
) -> None:
    change = mail(records_pool, server.port).send(request(to, template, name="Zoë", handover_id="ho_aaaaaaaa1"))
    (received,) = server.received(to)
    assert str(received["Subject"]) == change.after
    assert "TenSafe" in change.after
    assert str(received["From"]) == SENDER
    text, html = body(received, "plain"), body(received, "html")
    for content in (text, html):
        assert "Hello Zoë" in content
        assert "{{" not in content
    linked = "handover" in (TEMPLATES / f"{template}.txt.j2").read_text()
    assert (LINKS.where("ho_aaaaaaaa1") in text) == (LINKS.where("ho_aaaaaaaa1") in html) == linked
    assert "<b>slow" not in html, "what people write is text"


def test_a_second_attempt_sends_nothing(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, to: str
) -> None:
    sender = mail(records_pool, server.port)
    assert sender.send(request(to)).applied
    assert not sender.send(request(to)).applied
    assert len(server.received(to)) == count(records_sql, "mails") == 1


def test_an_attempt_that_was_lost_after_sending_is_known_by_its_message_id(
    records_pool: ConnectionPool[Any], server: MailServer, to: str
) -> None:
    class Dies(SmtpServer):
        def send(self, message: EmailMessage, *, dry_run: bool) -> None:
            super().send(message, dry_run=dry_run)
            raise KeyboardInterrupt("killed before the commit")

    with pytest.raises(KeyboardInterrupt):
        Mail(records_pool, Dies(LOOPBACK, server.port, "none", None), LINKS, SENDER).send(request(to))
    mail(records_pool, server.port).send(request(to))
    assert len({str(message["Message-ID"]) for message in server.received(to)}) == 1


def test_the_link_stands_in_the_mail_and_nowhere_in_the_records(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, to: str
) -> None:
    change = mail(records_pool, server.port).send(request(to, "api_key_rotated", handover_id="ho_aaaaaaaa1"))
    token = LINKS.where("ho_aaaaaaaa1").rpartition("/")[2]
    assert token in body(server.received(to)[0], "plain")
    assert token not in change.model_dump_json()
    for table in ("mails", "audit_log"):
        assert token not in str(records_sql.execute(f"SELECT * FROM runbooks.{table}").fetchall())


def test_an_invitation_is_attached(records_pool: ConnectionPool[Any], server: MailServer, to: str) -> None:
    start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    meeting = Meeting(title="Kickoff", start=start, time_zone="Europe/Berlin", attendees=(to,))
    mail(records_pool, server.port).send(request(to, meeting=meeting))
    (attachment,) = server.received(to)[0].iter_attachments()
    assert (attachment.get_content_type(), attachment.get_filename()) == ("text/calendar", "invitation.ics")
    event = icalendar.Calendar.from_ical(attachment.get_content()).walk("VEVENT")[0]
    assert (event["summary"], event.decoded("dtstart")) == ("Kickoff", start)


def test_plan_mode_asks_the_server_and_sends_nothing(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, to: str
) -> None:
    assert not mail(records_pool, server.port).send(request(to, dry_run=True)).applied
    assert server.received(to) == []
    assert count(records_sql, "mails") == 0


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "@acme.test", "a b@acme.test", "x@y@z", "a@acme.test\nBcc: b@acme.test", "<a@acme.test>,b"],
)
def test_what_is_no_address_is_bad_input(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, address: str
) -> None:
    with pytest.raises(InvalidInput, match="to: not a mail address"):
        mail(records_pool, server.port).send(request(address))
    assert count(records_sql, "mails") == 0


@pytest.mark.parametrize(
    "name", ["Grace\r\nBcc: b@acme.test", "=?utf-8?q?Bcc:?=", 'Müller, "Jürgen" <x@y>', "名" * 200, "\u202eGrace", ""]
)
@pytest.mark.parametrize("product", ["T\r\nBcc: b@acme.test", "產品" * 60, "x" * 1100])
def test_a_name_and_a_subject_stay_in_their_headers(name: str, product: str) -> None:
    asked = request("grace@acme.test", name=name)
    written = compose(asked.model_copy(update={"values": VALUES | {"product": product}}), SENDER, None).as_bytes()
    read = message_from_bytes(written, policy=policy.default)
    assert (read["Bcc"], read["To"].addresses[0].addr_spec) == (None, "grace@acme.test")
    assert max(len(line) for line in written.partition(b"\n\n")[0].splitlines()) <= 998  # RFC 5322, 2.1.1


@pytest.mark.parametrize("more", [{"template": "nonesuch"}, {"template": "api_key_rotated"}])
def test_a_template_that_cannot_be_filled_in_is_misconfigured(
    records_pool: ConnectionPool[Any], server: MailServer, to: str, more: dict[str, Any]
) -> None:
    with pytest.raises(Misconfigured, match=more["template"]):
        mail(records_pool, server.port).send(request(to, **more))
    assert server.received(to) == []


class Answers:
    """Answers to RCPT with what a test says."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    async def handle_RCPT(self, _s: Any, _c: Any, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.answer


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("answer", "error"), [("550 no such it@acme.test", Refused), ("451 later, it@acme.test", Unavailable)]
)
def test_a_refused_recipient_is_refused_and_a_deferred_one_tried_again(
    records_pool: ConnectionPool[Any],
    records_sql: psycopg.Connection[Any],
    answer: str,
    error: type[Exception],
    *,
    dry_run: bool,
) -> None:
    controller = Controller(Answers(answer), hostname=LOOPBACK, port=free_port())
    controller.start()
    try:
        with pytest.raises(error, match=answer[:3]) as raised:
            mail(records_pool, controller.port).send(request("it@acme.test", dry_run=dry_run))
    finally:
        controller.stop()
    assert "acme" not in str(raised.value)
    assert count(records_sql, "mails") == 0


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (None, Misconfigured, "refuses our login"),
        ("454 4.7.0 Temporary authentication failure", Unavailable, "can't check our login now"),
    ],
    ids=["refused", "not checked now"],
)
def test_a_login_that_fails_is_not_told(
    records_pool: ConnectionPool[Any], answer: str | None, error: type[Exception], says: str
) -> None:
    controller = Controller(
        Answers("250 OK"),
        hostname=LOOPBACK,
        port=free_port(),
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=False, handled=False, message=answer),
    )
    controller.start()
    try:
        sender = mail(records_pool, controller.port, login=("ops", SecretStr("hunter2")))
        with pytest.raises(error, match=says) as raised:
            sender.send(request("it@acme.test"))
    finally:
        controller.stop()
    assert "hunter2" not in str(raised.value)


class Rude(Inbox):
    """Takes mail, and is busy when it is said goodbye."""

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Envelope) -> str:  # noqa: N802
        return "421 too many connections"


def test_a_mail_that_was_taken_is_sent_whatever_the_goodbye_says(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]
) -> None:
    inbox = Rude()
    controller = Controller(inbox, hostname=LOOPBACK, port=inbox.port)
    controller.start()
    try:
        assert mail(records_pool, inbox.port).send(request("it@acme.test")).applied
    finally:
        controller.stop()
    assert inbox.recipients == ["it@acme.test"]
    assert count(records_sql, "mails") == 1


def test_a_server_without_the_tls_that_settings_ask_for_gets_nothing(
    records_pool: ConnectionPool[Any], server: MailServer, to: str
) -> None:
    with pytest.raises(Misconfigured, match="security"):
        mail(records_pool, server.port, security="starttls").send(request(to))
    assert server.received(to) == []


def test_nobody_listening_is_unavailable(records_pool: ConnectionPool[Any]) -> None:
    with pytest.raises(Unavailable, match="the mail server did not answer"):
        mail(records_pool, free_port()).send(request("it@acme.test"))


def test_a_server_that_hangs_up_is_unavailable(records_pool: ConnectionPool[Any]) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unavailable):
            mail(records_pool, listener.getsockname()[1]).send(request("it@acme.test"))
        thread.join()


def test_without_a_mail_server_mails_stand_in_the_records(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], to: str
) -> None:
    assert Mail(records_pool, RecordsMail(), LINKS, SENDER).send(request(to)).applied
    assert count(records_sql, "mails") == 1


# -- to many --------------------------------------------------------------------------------------------------------


def to_all(*addresses: str, step: str = "mails", dry_run: bool = False) -> SendMails:
    return SendMails(
        recipients=[Recipient(to=address, name="Grace") for address in addresses],
        template="maintenance_scheduled",
        values=VALUES,
        effect=effect(step, dry_run=dry_run),
    )


def test_each_of_many_gets_one_of_their_own(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, to: str
) -> None:
    other = f"it-{uuid4().hex[:8]}@acme.test"
    system = mail(records_pool, server.port)
    assert not system.send_all(to_all(to, other, dry_run=True)).applied
    assert server.received(to) == []
    sent = system.send_all(to_all(to, "no address", other))
    assert (sent.applied, sent.refused, sent.after) == (True, ["no address"], "2 mails taken")
    assert not system.send_all(to_all(to, other)).applied
    for address in (to, other):
        (mine,) = server.received(address)
        assert mine["To"] == f"Grace <{address}>"
        assert "Expect: brief" in body(mine, "plain")
    assert count(records_sql, "mails") == 2


def test_whoever_had_theirs_before_an_outage_gets_no_second_one(
    records_pool: ConnectionPool[Any], server: MailServer, to: str
) -> None:
    others = [f"{n}-{to}" for n in range(3)]
    mail(records_pool, server.port).send_all(to_all(others[0]))
    with pytest.raises(Unavailable):
        mail(records_pool, free_port()).send_all(to_all(*others))
    mail(records_pool, server.port).send_all(to_all(*others))
    assert [len(server.received(address)) for address in others] == [1, 1, 1]
