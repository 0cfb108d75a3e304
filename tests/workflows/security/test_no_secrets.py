"""After a rotation, neither key and no link is in history, records, logs or mails, but the link in its one mail."""

import asyncio
import html
import logging
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from psycopg import sql
from temporalio.client import Client

from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from tests.end_to_end.conftest import payloads
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, until, waiting_for
from tests.workflows.worlds.company import Company
from workflows.platform.approval import Decision
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest

OLD = "tsk_aaaaaaaa1"
ADA = {"who": "ada", "role": "security"}


class Page(NamedTuple):
    """Where customers take their keys."""

    url: str
    log: Path


@pytest.fixture
def page(records_url: str, tmp_path: Path) -> Iterator[Page]:
    """The handover server, in a process of its own."""
    port = free_port()
    process = ServerProcess(
        name="handover-server",
        directory=tmp_path,
        argv=[sys.executable, "-m", "starters", "handover-server", "--port", str(port)],
        env={"RUNBOOKS_RECORDS__URL": records_url},
    )
    process.start()
    try:
        process.wait_ready(probes.tcp(port))
        yield Page(f"http://{LOOPBACK}:{port}/handover", process.log)
    finally:
        process.stop()


async def used_till_the_end(handle: Handle, company: Company, old: str) -> None:
    """Let the old key be used, so that the customer is reminded and people are asked."""
    await until(handle, lambda status: "Deprecate the old key" in str(status.entries))
    assert company.accepts(old)
    company.sql.execute("UPDATE runbooks.api_keys SET last_used_at = clock_timestamp() + interval '59 minutes'")


async def said_to_be_compromised(handle: Handle, company: Company, old: str) -> None:
    """Approve."""
    assert company.accepts(old)
    await waiting_for(handle, "decide revoke")
    await handle.execute_update(ApiKeyRotation.decide, Decision(**ADA, question="revoke", choice="revoke"))


@pytest.mark.parametrize(
    ("fields", "happens", "mails"),
    [({"grace": timedelta(hours=2)}, used_till_the_end, 3), ({"compromised": True}, said_to_be_compromised, 2)],
    ids=["with grace", "compromised"],
)
async def test_neither_key_nor_link_is_left_anywhere(
    *,
    working: Working,
    client: Client,
    company: Company,
    page: Page,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
    happens: Any,
    mails: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    for customer in ("httpx", "httpcore"):  # it is the customer whose browser knows the link
        caplog.set_level(logging.WARNING, customer)
    address, old = company.tenant("acme"), company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, ApiKeyRotationRequest(tenant_id="acme", **fields), "api_key_rotation")
        await happens(handle, company, old)
        result = await handle.result()
        history = (await handle.fetch_history()).to_json()
    received = company.mails(address)
    assert (result["rotated"], len(received)) == (True, mails)
    token = link(received[0])
    new = await asyncio.to_thread(show, f"{page.url}/{token}")
    assert new.startswith(f"{result['new_key']}.")
    assert (company.accepts(new), company.accepts(old)) == (True, False)

    texts = {"history": history + payloads(history), "page's log": page.log.read_text(encoding="utf-8")}
    texts |= tables(company)
    texts["logs"] = caplog.text + "".join(capfd.readouterr())
    texts |= {str(mail["Subject"]): content(mail) for mail in received}
    told = str(received[0]["Subject"])
    # What is no secret is found in each kind of place: they are read, and read in clear.
    assert {"history", "page's log", "api_keys", "audit_log", told} <= where(result["new_key"], texts)
    assert where(handle.id, texts) >= {"logs"}
    assert where(old.partition(".")[2], texts) == set()
    assert where(new.partition(".")[2], texts) == set()
    assert where(token, texts) == {told}


def link(mail: EmailMessage) -> str:
    found = re.search(r"/handover/([\w-]{40,})", content(mail))
    assert found is not None
    return found[1]


def show(url: str) -> str:
    """Press the page's button, as the customer does."""
    assert httpx.get(url).status_code == httpx.codes.OK
    shown = httpx.post(url).raise_for_status().text
    (key,) = set(re.findall(r"tsk_[a-z0-9]+\.[\w-]{40,}", html.unescape(shown)))
    return str(key)


def tables(company: Company) -> dict[str, str]:
    """Read every column of every table; bytes are in hex there."""
    names = company.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'runbooks'")
    found = {}
    for (name,) in names:
        query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier("runbooks", name))
        found[name] = "\n".join(row[0] for row in company.sql.execute(query))
    return found


def content(mail: EmailMessage) -> str:
    """Read headers and parts, decoded."""
    headers = "\n".join(f"{name}: {value}" for name, value in mail.items())
    parts = (part.get_content() for part in mail.walk() if not part.is_multipart())
    return "\n".join((headers, *parts))


def where(text: str, texts: dict[str, str]) -> set[str]:
    """Say where a text is, plain or as the hex of its bytes."""
    return {name for name, found in texts.items() if text in found or text.encode().hex() in found}
