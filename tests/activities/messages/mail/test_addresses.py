"""An address is judged by one rule, wherever it comes in and wherever it is used."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.errors import InvalidInput
from activities.messages.mail.mail import compose
from sandbox.mail_server import MailServer
from tests.activities.messages.mail.mails import SENDER, mail, request
from tests.records_schema.fixtures import count
from workers import settings
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboardingRequest
from workflows.customer_operations.onboarding_words import Resend

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
