"""Atlassian Statuspage's REST API, v1.

It has no idempotency key, so the page's incident carries ours in its metadata: our incident's ID, by which every later
update finds it, and the keys of the effects it has taken, written by the very request that publishes each. So a
retry after a lost answer sees that the update is out. Two requests an update; Statuspage allows one a second.
"""

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from activities.common.effects import Change
from activities.common.errors import Misconfigured, Unavailable
from activities.common.http import TIMEOUT, send
from activities.messages.status_page.status_page import IncidentState, UpdateStatusPage
from libraries import logger

if TYPE_CHECKING:
    from libraries import httpx

_log = logger(__name__)
_SYSTEM = "Statuspage"
_OURS = "durable_runbooks"  # in metadata, where every top-level value must be an object
_PAGE_SIZE = 100
_PAGES_SEARCHED = 3
_KEYS_KEPT = 50

_COMPONENT_STATUS: dict[IncidentState, str] = {
    "Investigating": "major_outage",
    "Identified": "partial_outage",
    "Monitoring": "degraded_performance",
    "Resolved": "operational",
}


class AtlassianStatusPage:
    """Publishes on one page; `components` maps our component names to the page's component IDs.

    Subscribers are notified of each update, as the page is set to.
    """

    def __init__(
        self,
        http: "httpx.Client",
        api_key: SecretStr,
        page_id: str,
        components: dict[str, str],
        base_url: str = "https://api.statuspage.io",
    ) -> None:
        self._http = http
        self._api_key = api_key
        self._incidents = f"{base_url.rstrip('/')}/v1/pages/{page_id}/incidents"
        self._components = components

    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an update on our incident's page incident, which is created if there is none.

        Raises:
            Misconfigured: settings don't map the component, or Statuspage does not accept the key.
            Unavailable, RateLimited, NotFound, Refused: as Statuspage answers.

        """
        component = self._components.get(request.component)
        if component is None:
            known = ", ".join(sorted(self._components)) or "none"
            raise Misconfigured(f"[statuspage.components] does not map {request.component!r}; it has: {known}")
        found = self._find(request.incident_id)
        ours = found["metadata"][_OURS] if found else {"incident_id": request.incident_id, "effects": []}
        done = request.effect.key in ours["effects"]
        if not done and not request.effect.dry_run:
            keys = [*ours["effects"], request.effect.key][-_KEYS_KEPT:]
            self._publish(
                request, component, found, {**(found or {}).get("metadata", {}), _OURS: {**ours, "effects": keys}}
            )
        _log.info("statuspage update", component=request.component, status=request.status, new=found is None,
                  done=done, dry_run=request.effect.dry_run)  # fmt: skip
        return Change(
            target=f"status page/{request.component}",
            before=str(found["status"]).capitalize() if found and not done else "",
            after=request.status,
            applied=not done and not request.effect.dry_run,
            note="published already" if done else "",
        )

    def _find(self, incident_id: str) -> dict[str, Any] | None:
        """Find the page's incident that is ours, among the latest few hundred."""
        for page in range(1, _PAGES_SEARCHED + 1):
            query = {"limit": _PAGE_SIZE, "page": page}
            items = self._call("GET", self._incidents, params=query)
            if not isinstance(items, list):
                raise Unavailable(f"{_SYSTEM} answered something else than a list of incidents")
            for item in items:
                ours = (item.get("metadata") or {}).get(_OURS) or {}
                if ours.get("incident_id") == incident_id:
                    ours.setdefault("effects", [])
                    return dict(item)
            if len(items) < _PAGE_SIZE:
                break
        return None

    def _publish(
        self, request: UpdateStatusPage, component: str, found: dict[str, Any] | None, metadata: dict[str, Any]
    ) -> None:
        incident: dict[str, Any] = {
            "status": request.status.lower(),
            "body": request.message,
            "components": {component: _COMPONENT_STATUS[request.status]},
            "component_ids": sorted({*(part["id"] for part in (found or {}).get("components") or []), component}),
            "metadata": metadata,
            "deliver_notifications": True,
        }
        if found is None:
            self._call("POST", self._incidents, json={"incident": {"name": request.title, **incident}})
        else:
            self._call("PATCH", f"{self._incidents}/{found['id']}", json={"incident": incident})

    def _call(self, method: str, url: str, **content: Any) -> Any:
        headers = {"Authorization": f"OAuth {self._api_key.get_secret_value()}"}
        response = send(
            _SYSTEM,
            lambda: self._http.request(method, url, headers=headers, timeout=TIMEOUT, **content),
            secret=self._api_key,
            sentence=_sentence,
        )
        try:
            return response.json()
        except ValueError:
            raise Unavailable(f"{_SYSTEM} answered something that is not JSON") from None


def _sentence(response: "httpx.Response") -> str:
    said = response.json()["error"]
    return "; ".join(said) if isinstance(said, list) else str(said)
