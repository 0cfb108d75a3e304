"""The world of the customers' scenarios: a tenant of the case's own in the records, and its mailbox."""

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import psycopg
from psycopg import sql
from temporalio.client import WorkflowHandle

from sandbox.ports import LOOPBACK, free_port
from tests.crash.scenario import Case, EndState, Strict

TABLES = (
    "api_keys",
    "audit_log",
    "handovers",
    "interventions",
    "mails",
    "messages",
    "pages",
    "support_tickets",
    "tenant_users",
    "tenants",
    "ticket_comments",
)
PRODUCT = "TenSafe"
"""As the mails name it: without a product they name the service, and each case has one of its own."""


def short(case: Case) -> str:
    """Give what the case's IDs have in common."""
    return hashlib.sha256(case.name.encode()).hexdigest()[:12]


def tenant_id(case: Case) -> str:
    return f"tenant-{short(case)}"


def key_id(case: Case) -> str:
    return f"tsk_{short(case)}"


def address(case: Case) -> str:
    return f"it@{short(case)}.example"


class CustomerScenario(Strict):
    """A scenario about one customer; those that derive from it say what is done."""

    name: str
    procedure: str
    leaves: ClassVar[Mapping[str, int]] = {}
    programs: ClassVar[Collection[str]] = ()
    customers: ClassVar[Mapping[str, Any]] = {}
    has_a_tenant = True

    async def prepare(self, case: Case) -> dict[str, Any]:
        return await asyncio.to_thread(self._prepare, case)

    def _prepare(self, case: Case) -> dict[str, Any]:
        if self.has_a_tenant:
            _enter(case)
        nowhere = f"http://{LOOPBACK}:{free_port()}"
        return {
            "temporal": {"address": case.servers.temporal, "task_queue": case.task_queue},
            "worker": {
                "workflow_sandbox": True,
                "dead_worker_keeps_runs": "PT3S",
                "heartbeat_throttle": "PT0.5S",
                "health_timeout": "PT20S",
            },
            "records": {"url": case.servers.records, "pool_size": 4},
            "kubernetes": {"kubeconfig": str(case.servers.kubeconfig)},
            "observability": {"log_format": "console"},
            "mail": {
                "backend": "smtp",
                "host": LOOPBACK,
                "port": case.servers.mail.port,
                "security": "none",
                "sender": "ops@tensafe.example",
            },
            "handover": {"secret": f"of {case.name}", "base_url": nowhere},
            "approvals": {"allow_unsigned": True},
            "services": {
                case.namespace: {
                    "namespace": "tensafe",
                    "deployment": "tensafe-server",
                    "selector": "app=tensafe",
                    "health_url": f"{nowhere}/health",
                    "customers": {"product": PRODUCT, **self.customers},
                }
            },
        }

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Nothing is for people to do, unless the scenario says so."""

    async def end_state(self, case: Case) -> EndState:
        return await asyncio.to_thread(_end_state, case)

    async def clean(self, case: Case) -> None:
        """Leave the tenant: it is nobody else's."""


def _enter(case: Case) -> None:
    with psycopg.connect(case.servers.records) as connection:
        connection.execute(
            "INSERT INTO runbooks.tenants (tenant_id, name, tier, contact_name, email, csm) "
            "VALUES (%s, %s, 'team', 'Grace', %s, 'carl')",
            (tenant_id(case), tenant_id(case), address(case)),
        )
        connection.execute(
            "INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key) "
            "VALUES (%s, %s, sha256('x'), 'w', 'r', %s)",
            (key_id(case), tenant_id(case), key_id(case)),
        )


def _end_state(case: Case) -> EndState:
    state = EndState()
    with psycopg.connect(case.servers.records) as connection:
        for table in TABLES:
            of_run = sql.SQL(
                "SELECT regexp_replace(effect_key, '.*/', ''), count(*) FROM {} WHERE workflow_id = %s GROUP BY 1"
            ).format(sql.Identifier("runbooks", table))
            found = connection.execute(of_run, (case.workflow_id,))
            state.counts.update({f"{table} {step}": rows for step, rows in found})
        verdicts = connection.execute(
            "SELECT replaces IS NOT NULL, runbooks.api_key_verdict(key_id), "
            "expires_at IS NOT NULL AND revoked_at IS NULL FROM runbooks.api_keys WHERE tenant_id = %s",
            (tenant_id(case),),
        )
        for successor, verdict, limbo in verdicts:
            state.counts[f"{'new' if successor else 'old'} key {verdict or 'accepted'}"] += 1
            if limbo:
                state.paused.append("a key is deprecated, and nobody revokes it")
        for what, query in (
            ("ticket", "SELECT ticket_id FROM runbooks.support_tickets WHERE workflow_id = %s AND status = 'open'"),
            ("intervention", "SELECT id FROM runbooks.interventions WHERE workflow_id = %s AND closed_at IS NULL"),
        ):
            state.paused += [f"{what} {name} is open" for (name,) in connection.execute(query, (case.workflow_id,))]
    # A mail whose worker dies between the server's answer and the commit comes twice, as the same message.
    received = {str(mail["Message-ID"]): str(mail["Subject"]) for mail in case.servers.mail.received(address(case))}
    for subject in received.values():
        state.counts[f"mailbox {subject.rpartition(':')[2].replace(short(case), '').strip()}"] += 1
    return state
