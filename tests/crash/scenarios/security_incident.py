"""Security incident: a suspicious node isolated, kept, drained by force, and given back; a signing key rotated."""

import base64
import json
from collections.abc import Callable
from typing import Any, ClassVar

import httpx
import psycopg
from temporalio.client import WorkflowHandle

from activities.kubernetes.isolation import CORDONED
from sandbox import kubernetes_api
from tests.activities.kubernetes.suspicious import Suspicious
from tests.crash.people import tell, when
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario, items
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest

_DRAIN, _RETURN, _ROTATE = "drain-1", "return", "rotate-1"
_SIGNING, _FIRST = "signing", "the first key"


class SecurityIncidentScenario(ServiceScenario):
    """Everything goes that may, and the node returns."""

    name = "security-incident"
    procedure = "security_incident"
    leaves: ClassVar = {
        "manifests that name every piece": 1,
        "pods left on the node": 2,  # of the DaemonSet, and the static one
        "pods that took their place": 1,
        "security incident contained": 1,
        "audit_log open": 1,
        "audit_log close": 1,
        "messages post-ended": 1,
        "pages page-level-1": 1,
        "signing keys": 1,
        "signing keys that were there before": 0,
    }

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[str, Suspicious] = {}

    def policy(self, case: Case) -> dict[str, Any]:
        signing = {"kind": "secret", "secret": _SIGNING, "key": "now", "overlap_key": "also"}
        return {"selector": "app=suspect", "security": {"credentials": {"signing": signing}}}

    def begin(self, case: Case, health: str) -> None:
        api = kubernetes_api.connect(case.servers.kubeconfig)
        body = {"metadata": {"name": _SIGNING}, "stringData": {"now": _FIRST}}
        api.post(f"/api/v1/namespaces/{case.namespace}/secrets", json=body).raise_for_status()
        self._places[case.name] = Suspicious(api, case.namespace).create(replicas=1)

    def request(self, case: Case) -> SecurityIncidentRequest:
        return SecurityIncidentRequest(nodes=[self._places[case.name].name], initial_findings="A process too many")

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, _asks(_ROTATE))
        word = Decision(who="ada", role="security", question=_ROTATE, choice="signing", reason="it may be known")
        await tell(handle, SecurityIncident.decide, word)
        await when(handle, _asks(_DRAIN))
        for who in ("ada", "bob"):
            word = Decision(who=who, role="security", question=_DRAIN, choice="force", reason="it is kept")
            await tell(handle, SecurityIncident.decide, word)
        await when(handle, _asks(_RETURN))
        for question, choice in (("legal", "none"), (_RETURN, "uncordon")):
            word = Decision(who="ada", role="security", question=question, choice=choice, reason="no personal data")
            await tell(handle, SecurityIncident.decide, word)

    def matters(self, kill: str, name: str) -> bool:
        # Pieces are named by pods, which are the case's own; that the manifest has all of them is counted.
        return not name.startswith("evidence ")

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        place = self._places[case.name]
        node = place.node()
        held = [key for key in node["metadata"].get("annotations") or {} if key.startswith(CORDONED)]
        cordoned = bool(node["spec"].get("unschedulable"))
        if cordoned or held:
            state.paused.append(f"{place.name} is {'cordoned' if cordoned else 'schedulable'}, held by {held}")
        policies = f"/apis/networking.k8s.io/v1/namespaces/{case.namespace}/networkpolicies"
        state.paused += [f"{each['metadata']['name']} is there still" for each in items(api, policies)]
        state.counts["pods left on the node"] = len(place.here())
        taken = items(api, f"/api/v1/namespaces/{case.namespace}/pods", labelSelector="app=suspect")
        state.counts["pods that took their place"] = sum("deletionTimestamp" not in p["metadata"] for p in taken)
        secret = api.get(f"/api/v1/namespaces/{case.namespace}/secrets/{_SIGNING}").raise_for_status().json()
        keys = [base64.b64decode(value).decode() for value in secret["data"].values()]
        state.counts["signing keys"] = len(keys)
        state.counts["signing keys that were there before"] = keys.count(_FIRST)
        folder = case.directory / "evidence" / "incidents"
        for manifest in folder.glob("SEC-*/*-manifest.json"):
            named = {piece["name"] for piece in json.loads(manifest.read_text())["pieces"]}
            there = {file.name for file in manifest.parent.glob("1-*")} - {manifest.name}
            state.counts["manifests that name every piece"] += named == there
        with psycopg.connect(case.servers.records) as connection:
            query = "SELECT outcome FROM runbooks.security_incidents WHERE workflow_id = %s"
            for (outcome,) in connection.execute(query, (case.workflow_id,)):
                state.counts[f"security incident {outcome}"] += 1

    def remove(self, case: Case) -> None:
        if place := self._places.pop(case.name, None):
            place.remove()
            place.kube.close()
        super().remove(case)


def _asks(question: str) -> Callable[[RunStatus], bool]:
    return lambda status: any(each.id == question for each in status.questions)
