"""P1: a bad release in a namespace of its own; a commander who closes; and everything that is left afterwards."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from activities.records import Alert
from sandbox import kubernetes_api, manifests
from sandbox.ports import LOOPBACK, free_port
from sandbox.probes import http, wait_until
from sandbox.processes import ServerProcess
from tests.crash.scenario import Case, EndState, python
from workflows.incident_response.p1_incident import Closing, P1Incident, P1Request

DEPLOYMENT = "tensafe-server"
CLOSING = Closing(who="ada", role="commander", resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")
TABLES = ("alerts", "incidents", "incident_notes", "pages", "status_updates", "messages", "post_mortems", "audit_log")


class P1Scenario:
    procedure = "p1_incident"

    def __init__(self) -> None:
        self._services: dict[str, ServerProcess] = {}

    async def prepare(self, case: Case) -> dict[str, Any]:
        return await asyncio.to_thread(self._prepare, case)

    def _prepare(self, case: Case) -> dict[str, Any]:
        kubeconfig = case.servers.kubeconfig
        manifests.apply_service(kubeconfig, case.namespace)
        port = free_port()
        service = ServerProcess(
            name="service",
            directory=case.directory,
            argv=[
                *python("sandbox.service"), "--kubeconfig", kubeconfig, "--namespace", case.namespace,
                "--port", str(port), "--logs", case.directory / "pod-logs", "--requests-per-second", "1",
            ],
        )  # fmt: skip
        self._services[case.name] = service
        service.start()
        health = f"http://{LOOPBACK}:{port}/health"
        service.wait_ready(http(health))
        manifests.release(kubeconfig, case.namespace, manifests.BAD_IMAGE)
        wait_until(lambda: httpx.get(health).status_code == httpx.codes.SERVICE_UNAVAILABLE)
        return {
            "temporal": {"address": case.servers.temporal, "task_queue": case.task_queue},
            "records": {"url": case.servers.records, "pool_size": 4},
            "kubernetes": {"kubeconfig": str(kubeconfig)},
            "prometheus": {"url": case.servers.prometheus},
            "evidence": {"directory": str(case.directory / "evidence")},
            "observability": {"log_format": "console"},
            "approvals": {"allow_unsigned": True},
            "services": {
                DEPLOYMENT: {
                    "namespace": case.namespace,
                    "deployment": DEPLOYMENT,
                    "selector": "app=tensafe",
                    "health_url": health,
                    "hpa": DEPLOYMENT,
                    "incident": {"steady_for": "PT1S", "verify_timeout": "PT30S"},
                }
            },
        }

    def request(self, case: Case) -> P1Request:
        alert = Alert(
            source="crash", fingerprint=case.workflow_id, name="TensafeServerDown", starts_at=datetime.now(UTC)
        )
        return P1Request(alert=alert)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        closing = False
        while True:
            try:
                if not closing:
                    status = await handle.query(P1Incident.status, rpc_timeout=timedelta(seconds=3))
                    closing = status.waiting_for == "close"
                if closing:
                    # One ID: said again after a lost answer, it is still said once.
                    await handle.execute_update(
                        P1Incident.close, CLOSING, id="close", rpc_timeout=timedelta(seconds=10)
                    )
                    return
            except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
                pass  # no worker at the moment
            except WorkflowUpdateFailedError as error:
                raise AssertionError(f"not closed: {error.cause}") from error
            await asyncio.sleep(0.2)

    async def end_state(self, case: Case) -> EndState:
        return await asyncio.to_thread(self._end_state, case)

    def _end_state(self, case: Case) -> EndState:
        state = EndState(counts=Counter())
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            root = f"/apis/apps/v1/namespaces/{case.namespace}"
            deployment = api.get(f"{root}/deployments/{DEPLOYMENT}").raise_for_status().json()
            revisions = api.get(f"{root}/replicasets").raise_for_status().json()["items"]
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        state.counts[f"image {image}"] = 1
        state.counts["revision"] = int(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
        state.counts["replica sets"] = len(revisions)
        state.counts["replicas ready"] = deployment["status"].get("readyReplicas", 0)
        with psycopg.connect(case.servers.records) as connection:
            for table in TABLES:
                rows = connection.execute(
                    f"SELECT count(*) FROM runbooks.{table} WHERE workflow_id = %s", (case.workflow_id,)
                ).fetchone()
                assert rows is not None
                state.counts[table] = rows[0]
            actions = connection.execute(
                "SELECT action, count(*) FROM runbooks.audit_log WHERE workflow_id = %s GROUP BY action",
                (case.workflow_id,),
            ).fetchall()
            state.counts.update({f"audit {action}": count for action, count in actions})
            open_incidents = connection.execute(
                "SELECT incident_id FROM runbooks.incidents WHERE workflow_id = %s AND status <> 'closed'",
                (case.workflow_id,),
            ).fetchall()
        state.paused += [f"incident {name} is open" for (name,) in open_incidents]
        evidence = case.directory / "evidence"
        state.counts.update(f"evidence {file.name}" for file in Path(evidence).rglob("[!.]*") if file.is_file())
        return state

    async def clean(self, case: Case) -> None:
        if service := self._services.pop(case.name, None):
            await asyncio.to_thread(service.stop)
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            api.delete(f"/api/v1/namespaces/{case.namespace}")
