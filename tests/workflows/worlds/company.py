"""Customers on real records and a real mail server, with the real activities: what the procedures of 5 and 8.2 need."""

import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import ApprovalPolicy, CustomerPolicy, Service
from activities.customers.api_keys import ApiKeys
from activities.customers.churn_risk import CustomerHealth
from activities.customers.interventions import Interventions
from activities.customers.tenants import Tenants
from activities.customers.tickets import Support
from activities.handovers.links import HandoverLinks, open_once
from activities.messages.chat.chat import Slack
from activities.messages.chat.records import RecordsChat
from activities.messages.mail.mail import Mail
from activities.messages.mail.servers import SmtpServer
from activities.messages.paging.paging import Paging
from activities.messages.paging.records import RecordsPager
from activities.records.activities import Records
from sandbox.mail_server import MailServer
from tests.workflows.worlds.world import PRODUCT
from workers.later import activities_of

SECRET = SecretStr("a secret of the settings")


class Company:
    """The records of one test: its tenants, and what came to their mailboxes."""

    def __init__(
        self, pool: ConnectionPool[Any], sql: psycopg.Connection[Any], server: MailServer, policy: CustomerPolicy
    ) -> None:
        self.pool = pool
        self.sql = sql
        self.server = server
        self.service = Service(
            namespace="tensafe",
            deployment="tensafe-server",
            selector="app=tensafe",
            health_url="http://127.0.0.1:1/health",
            customers=policy.model_copy(update={"product": PRODUCT}),
        )
        self.links = HandoverLinks(SECRET, "https://ops.example", timedelta(days=7))
        self.smtp = SmtpServer("127.0.0.1", server.port, "none", None)

    @property
    def domain(self) -> str:
        """Of this test's customers: the mail server is every test's."""
        return f"{self.sql.info.dbname.replace('_', '-')}.test"

    def activities(self) -> list[Callable[..., Any]]:
        pool, links = self.pool, self.links
        systems = (
            Catalogue({"tensafe-server": self.service}, ApprovalPolicy(allow_unsigned=True)),
            Tenants(pool, links),
            ApiKeys(pool, links),
            Support(pool),
            Records(pool),
            CustomerHealth(pool),
            Interventions(pool),
            Mail(pool, self.smtp, links, "TenSafe operations <ops@tensafe.test>"),
            Slack(RecordsChat(pool)),
            Paging(RecordsPager(pool)),
        )
        return [
            activity
            for system in systems
            for activity in activities_of(type(system), lambda system=system: system)  # type: ignore[misc]
        ]

    def tenant(self, tenant_id: str, **columns: Any) -> str:
        """Enter a tenant; gives its mail address."""
        values = {
            "tenant_id": tenant_id,
            "name": tenant_id.title(),
            "tier": "enterprise",
            "contact_name": "Grace",
            "email": f"{tenant_id}@{self.domain}",
            **columns,
        }
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.sql.execute(f"INSERT INTO runbooks.tenants ({names}) VALUES ({marks})", list(values.values()))
        return str(values["email"])

    def key(self, tenant_id: str, key_id: str) -> str:
        """Enter a key; gives it in clear."""
        key = f"{key_id}.{'s' * 43}"
        self.sql.execute(
            "INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key) "
            "VALUES (%s, %s, sha256(convert_to(%s, 'UTF8')), 'w', 'r', %s)",
            (key_id, tenant_id, key, key_id),
        )
        return key

    def accepts(self, key: str) -> bool:
        """Ask as the service does, which counts as use."""
        row = self.sql.execute("SELECT accepted FROM runbooks.check_api_key(%s)", (key,)).fetchone()
        assert row is not None
        return bool(row[0])

    def mails(self, address: str) -> list[EmailMessage]:
        return self.server.received(address)

    def subjects(self, address: str) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails(address)]

    def open_link(self, mail: EmailMessage) -> dict[str, str]:
        """Take what the mail's link shows once."""
        part = mail.get_body(("plain",))
        assert part is not None
        found = re.search(r"https://ops\.example/handover/(\S+)", part.get_content())
        assert found is not None
        with self.pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
            contents = open_once(rows, found[1])
        assert contents is not None
        return contents

    def rows(self, query: str) -> list[Any]:
        return self.sql.execute(query).fetchall()
