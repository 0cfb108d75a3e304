"""Security incident: a suspicious node isolated, kept, drained by force, and given back.

Three credentials are rotated, and an address blocked for a few seconds.
"""

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
from tests.crash.rotated import LEAVES, Rotated
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario, items
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest

_DRAIN, _RETURN, _ROTATE, _BLOCK = "drain-1", "return", "rotate-1", "block"
_INGRESS, _DENY = "web", "nginx.ingress.kubernetes.io/denylist-source-range"
_BAD, _OTHER = "8.8.8.8", "198.51.100.9/32"


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
        "access reviews": 1,
        **LEAVES,
        "addresses blocked and given back": 1,
        "addresses that stay in the list": 1,  # a person's own
    }

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[str, Suspicious] = {}
        self._rotated: dict[str, Rotated] = {}

    def _prepare(self, case: Case) -> dict[str, Any]:
        main = {"servers": {"primary": {"url": case.servers.records}}, "barman": {"server": "never-asked"}}
        return {**super()._prepare(case), "databases": {"main": main}}

    def policy(self, case: Case) -> dict[str, Any]:
        blocks = {"never": ["192.0.2.0/24"], "ingresses": [_INGRESS], "lasting": "PT5S"}
        accesses = {"controller_namespace": case.namespace, "controller_selector": "app=suspect"}
        security = {"credentials": Rotated.policies(case), "blocks": blocks, "accesses": accesses}
        return {"selector": "app=suspect", "security": security}

    def begin(self, case: Case, health: str) -> None:
        api = kubernetes_api.connect(case.servers.kubeconfig)
        self._rotated[case.name] = Rotated(case, api)
        self._rotated[case.name].create()
        backend = {"service": {"name": _INGRESS, "port": {"number": 80}}}
        ingress = {
            "metadata": {"name": _INGRESS, "annotations": {_DENY: _OTHER}},
            "spec": {"defaultBackend": backend},
        }
        api.post(_ingresses(case), json=ingress).raise_for_status()
        self._places[case.name] = Suspicious(api, case.namespace).create(replicas=1)

    def request(self, case: Case) -> SecurityIncidentRequest:
        return SecurityIncidentRequest(
            nodes=[self._places[case.name].name], initial_findings="A process too many", block=[_BAD]
        )

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, _asks(_ROTATE))
        for who in ("ada", "bob"):
            word = Decision(who=who, role="security", question=_ROTATE, choice="all", reason="they may be known")
            await tell(handle, SecurityIncident.decide, word)
        await when(handle, _asks(_BLOCK))
        for who in ("ada", "bob"):
            word = Decision(
                who=who, role="security", question=_BLOCK, choice="for-a-time", reason="it guesses passwords"
            )
            await tell(handle, SecurityIncident.decide, word)
        await when(handle, _asks(_DRAIN))
        for who in ("ada", "bob"):
            word = Decision(who=who, role="security", question=_DRAIN, choice="force", reason="it is kept")
            await tell(handle, SecurityIncident.decide, word)
        await when(handle, lambda status: any("Give back what was blocked" in each.text for each in status.entries))
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
        self._rotated[case.name].look(state)
        denied = api.get(f"{_ingresses(case)}/{_INGRESS}").raise_for_status().json()["metadata"]["annotations"]
        state.counts["addresses that stay in the list"] = len(denied.get(_DENY, "").split(","))
        if _BAD in denied.get(_DENY, ""):
            state.paused.append(f"{_BAD} is blocked still")
        folder = case.directory / "evidence" / "incidents"
        state.counts["access reviews"] = len(list(folder.glob("SEC-*/access-review-ingress*.json")))
        for manifest in folder.glob("SEC-*/*-manifest.json"):
            named = {piece["name"] for piece in json.loads(manifest.read_text())["pieces"]}
            there = {file.name for file in manifest.parent.glob("1-*")} - {manifest.name}
            state.counts["manifests that name every piece"] += named == there
        with psycopg.connect(case.servers.records) as connection:
            query = "SELECT outcome FROM runbooks.security_incidents WHERE workflow_id = %s"
            for (outcome,) in connection.execute(query, (case.workflow_id,)):
                state.counts[f"security incident {outcome}"] += 1
            query = "SELECT count(*) FROM runbooks.blocked_addresses WHERE workflow_id = %s AND ended_at IS NOT NULL"
            for (ended,) in connection.execute(query, (case.workflow_id,)):
                state.counts["addresses blocked and given back"] = ended

    def remove(self, case: Case) -> None:
        if rotated := self._rotated.pop(case.name, None):
            rotated.remove()
        if place := self._places.pop(case.name, None):
            place.remove()
            place.kube.close()
        super().remove(case)


def _ingresses(case: Case) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{case.namespace}/ingresses"


def _asks(question: str) -> Callable[[RunStatus], bool]:
    return lambda status: any(each.id == question for each in status.questions)
