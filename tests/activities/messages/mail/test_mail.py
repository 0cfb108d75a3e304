"""Mail through a real SMTP server, and through servers that refuse, stall and die."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.errors import Misconfigured, Unavailable
from activities.messages.mail.mail import Mail, Recipient, SendMails, compose
from activities.messages.mail.servers import RecordsMail, SmtpServer
from sandbox.mail_server import MailServer
from sandbox.ports import LOOPBACK, free_port
from tests.activities.messages.mail.mails import LINKS, SENDER, TEMPLATES, VALUES, body, mail, request
from tests.records_schema.fixtures import count, effect


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


def test_plan_mode_asks_the_server_and_sends_nothing(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], server: MailServer, to: str
) -> None:
    assert not mail(records_pool, server.port).send(request(to, dry_run=True)).applied
    assert server.received(to) == []
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


def test_without_a_mail_server_mails_stand_in_the_records(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], to: str
) -> None:
    assert Mail(records_pool, RecordsMail(), LINKS, SENDER).send(request(to)).applied
    assert count(records_sql, "mails") == 1


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
