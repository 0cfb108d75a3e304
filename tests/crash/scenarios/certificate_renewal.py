"""Certificate renewal: one order, one certificate in use with its own key, nothing left shown, waiting or held."""

import asyncio
from contextlib import ExitStack
from typing import Any, ClassVar

import psycopg
from psycopg import sql
from temporalio.client import WorkflowHandle

from activities.catalogue.certificates import ServedName
from activities.certificates.facts import Certificate
from activities.certificates.probe import ProbeRequest, TlsProbe
from activities.certificates.secrets import HOLD
from activities.kubernetes import effect_notes
from records_schema.pool import connect_pool
from sandbox import kubernetes_api
from sandbox.certificate_authority import CertificateAuthority
from sandbox.ports import LOOPBACK, free_port
from sandbox.tls_ingress import TlsIngress
from tests.activities.certificates.challenge_server import challenge_server
from tests.activities.certificates.issuing import Issuer, TlsSecretsOf
from tests.crash.scenario import Case, EndState, Strict
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest

HOST = "api.tensafe.test"
SECRET = "web"


class _World:
    """A case's own authority, its Secret, and two addresses that serve it."""

    def __init__(self, case: Case) -> None:
        self.stack = ExitStack()
        self.authority = CertificateAuthority(case.directory / "certificate-authority")
        self.authority.start()
        self.stack.callback(self.authority.stop)
        self.authority.wait_ready()
        pool = self.stack.enter_context(connect_pool(case.servers.records, max_size=2))
        self.stack.enter_context(challenge_server(pool, self.authority.http_port))
        issuer = Issuer()
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace}}
            kubernetes_api.apply(api, [namespace])
            kept = TlsSecretsOf(api, case.namespace)
            kept.put(SECRET, *issuer.issue(HOST))
            self.old = kept.certificate(SECRET)
        self.trusted = issuer.write_root(case.directory / "roots.pem")
        self.trusted.write_bytes(self.trusted.read_bytes() + self.authority.root_file.read_bytes())
        self.ingresses = [
            self.stack.enter_context(TlsIngress(case.servers.kubeconfig, case.namespace, SECRET, address=address))
            for address in (LOOPBACK, "127.0.0.2")
        ]

    @property
    def addresses(self) -> list[str]:
        return [ingress.address for ingress in self.ingresses]


class CertificateRenewalScenario(Strict):
    """29 days are left; the authority looks at the names, issues, and both addresses serve it."""

    name = "certificate-renewal"
    procedure = "certificate_renewal"
    programs: ClassVar = ()
    leaves: ClassVar = {
        "issued": 1,
        "new in the Secret": 1,
        "its key fits": 1,
        "addresses that serve it": 2,
        "Secret notes install": 1,
        "messages post-summary": 1,
    }

    def __init__(self) -> None:
        self._worlds: dict[str, _World] = {}

    async def prepare(self, case: Case) -> dict[str, Any]:
        return await asyncio.to_thread(self._prepare, case)

    def _prepare(self, case: Case) -> dict[str, Any]:
        world = self._worlds[case.name] = _World(case)
        authority = world.authority
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
            "approvals": {"allow_unsigned": True},
            "certificates": {"ca_file": str(world.trusted)},
            "acme": {
                "directory": authority.url,
                "ca_file": str(authority.ca_file),
                "terms_agreed": True,
                "namespace": case.namespace,
                "look_at": f"http://{LOOPBACK}:{authority.http_port}",
            },
            "services": {
                case.namespace: {
                    "namespace": case.namespace,
                    "deployment": "tensafe-server",
                    "selector": "app=tensafe",
                    "health_url": f"{nowhere}/health",
                    "certificates": {
                        "served": [{"host": HOST, "addresses": world.addresses}],
                        "acme": {"secrets": [SECRET], "profile": "default"},
                    },
                }
            },
        }

    def request(self, case: Case) -> CertificateRenewalRequest:
        return CertificateRenewalRequest()

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Nothing is for people to do."""

    async def end_state(self, case: Case) -> EndState:
        return await asyncio.to_thread(self._end_state, case)

    def _end_state(self, case: Case) -> EndState:
        world, state = self._worlds[case.name], EndState()
        state.counts["issued"] = world.authority.issued
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            kept = TlsSecretsOf(api, case.namespace)
            now = kept.certificate(SECRET)
            annotations = kept.raw(SECRET)["metadata"].get("annotations", {})
            state.counts["its key fits"] = int(kept.key_fits(SECRET))
            if kept.there(f"{SECRET}-renewal"):
                state.paused.append("a key still waits")
        state.counts["new in the Secret"] = int(now != world.old)
        notes = effect_notes.read(annotations)
        state.counts.update(f"Secret notes {note.key.rpartition('/')[2]}" for note in notes)
        if HOLD in annotations:
            state.paused.append("the Secret is held")
        state.counts["addresses that serve it"] = _serving(world, now)
        _look_at_the_records(case, state)
        return state

    async def clean(self, case: Case) -> None:
        await asyncio.to_thread(self._clean, case)

    def _clean(self, case: Case) -> None:
        if world := self._worlds.pop(case.name, None):
            world.stack.close()
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            api.delete(f"/api/v1/namespaces/{case.namespace}")


def _serving(world: _World, certificate: Certificate) -> int:
    served = ServedName(host=HOST, addresses=tuple(world.addresses))
    seen = TlsProbe(world.trusted).probe(ProbeRequest(served=served))
    return sum(look.certificate == certificate and not look.distrust for look in seen.looks)


def _look_at_the_records(case: Case, state: EndState) -> None:
    with psycopg.connect(case.servers.records) as connection:
        for table in ("audit_log", "messages", "pages"):
            of_run = sql.SQL(
                "SELECT regexp_replace(effect_key, '.*/', ''), count(*) FROM {} WHERE workflow_id = %s GROUP BY 1"
            ).format(sql.Identifier("runbooks", table))
            found = connection.execute(of_run, (case.workflow_id,))
            state.counts.update({f"{table} {step}": rows for step, rows in found})
        shown = "SELECT count(*) FROM runbooks.acme_challenges WHERE workflow_id = %s"
        row = connection.execute(shown, (case.workflow_id,)).fetchone()
        if row is not None and row[0]:
            state.paused.append("a challenge is still shown")
