"""Mail servers that refuse, stall, die or can do less than is needed."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.messages.mail.calendars import Meeting
from activities.messages.mail.mail import compose
from activities.messages.mail.servers import SmtpServer
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from tests.activities.messages.mail.mails import SENDER, mail, request
from tests.records_schema.fixtures import count


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


INVITED = Meeting(
    title="Kickoff", start=datetime(2026, 5, 1, tzinfo=UTC), time_zone="UTC", attendees=("jürgen@bücher.test",)
)


class Rude(Inbox):
    """Takes mail, and is busy when it is said goodbye."""

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Envelope) -> str:  # noqa: N802
        return "421 too many connections"
