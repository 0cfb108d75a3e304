"""Atlassian Statuspage's REST API, v1.

It has no idempotency key, so the page's incident carries ours in its metadata: our incident's ID, by which every later
update finds it, and the keys of the effects it has taken, written by the very request that publishes each. So a
retry after a lost answer sees that the update is out.

Nor has it a lock: what a component shows is looked at again once we have written, since another run may have written
between our look and our write. The last of them to look sees what all say, and puts it right. Three requests an update;
Statuspage allows sixty a minute.
"""

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from activities.common.effects import Change
from activities.common.errors import Misconfigured, Unavailable
from activities.common.http import TIMEOUT, send
from activities.messages.status_page.status_page import (
    COMPONENT_SHOWS,
    COMPONENT_STATES,
    MAINTENANCE_STATES,
    LeaveStatusPage,
    MaintenanceState,
    UpdateMaintenance,
    UpdateStatusPage,
    worst,
)
from libraries import logger

if TYPE_CHECKING:
    from libraries import httpx

_log = logger(__name__)
_SYSTEM = "Statuspage"
_OURS = "durable_runbooks"  # in metadata, where every top-level value must be an object
_PAGE_SIZE = 100
_PAGES_SEARCHED = 3
_KEYS_KEPT = 50
_LOOKS = 3
"""At what a component shows, after a write: each that finds it wrong is somebody else's write in between."""
_OVER = {"resolved", "postmortem", "completed", "scheduled"}
"""States of the page's incidents that say nothing of a component now; `scheduled` is yet to come."""

_MAINTENANCE = {"in_progress", "verifying"}

_MAINTENANCE_STATUS: dict[str, MaintenanceState] = {
    state.lower().replace(" ", "_"): state for state in MAINTENANCE_STATES
}
"""Theirs → ours."""

_IMPACT = {
    "none": "operational",
    "minor": "degraded_performance",
    "major": "partial_outage",
    "critical": "major_outage",
}
"""What a person's incident means for a component of which none of its updates says more."""


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
        page = f"{base_url.rstrip('/')}/v1/pages/{page_id}"
        self._incidents = f"{page}/incidents"
        self._parts = f"{page}/components"
        self._components = components

    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an update on our incident's page incident, which is created if there is none.

        Raises:
            Misconfigured: settings don't map the component, or Statuspage does not accept the key.
            Unavailable, RateLimited, NotFound, Refused: as Statuspage answers.

        """
        component = self._mapped(request.component)
        found, others = self._find(request.incident_id, component)
        ours = found["metadata"][_OURS] if found else {"incident_id": request.incident_id, "effects": []}
        # A post-mortem is a person's last word: it isn't opened again.
        ended = found is not None and found["status"] == "postmortem"
        done = ended or request.effect.key in ours["effects"]
        says = _says(found, component) if done and found else COMPONENT_SHOWS[request.status]
        shown = _set_last(found, component)
        if not done and not request.effect.dry_run:
            shown = worst(says, others)
            keys = [*ours["effects"], request.effect.key][-_KEYS_KEPT:]
            self._publish(
                request,
                component,
                found,
                {**(found or {}).get("metadata", {}), _OURS: {**ours, "effects": keys}},
                state=shown,
            )
        if not request.effect.dry_run:
            self._settle(request.incident_id, component, says, shown)
        _log.info(
            "statuspage update",
            component=request.component,
            status=request.status,
            new=found is None,
            done=done,
            dry_run=request.effect.dry_run,
        )
        return Change(
            target=f"status page/{request.component}",
            before=str(found["status"]).capitalize() if found and not done else "",
            after=request.status,
            applied=not done and not request.effect.dry_run,
            note="a person has ended it" if ended else "published already" if done else "",
        )

    def leave(self, request: LeaveStatusPage) -> Change:
        """Publish a last word on our incident's page incident; one that a person has ended stays so.

        What the component shows isn't touched before it is over.

        Raises:
            Misconfigured, Unavailable, RateLimited, NotFound, Refused: as `update`.

        """
        component = self._mapped(request.component)
        target = f"status page/{request.component}"
        found, others = self._find(request.incident_id, component)
        if found is None:
            return Change(target=target, after="nothing", applied=False, note="it was never published")
        status = str(found["status"])
        ours = found["metadata"][_OURS]
        if status in _OVER or request.effect.key in ours["effects"]:
            return Change(
                target=target, after=status.capitalize(), applied=False, note="it is over, or published already"
            )
        incident: dict[str, Any] = {
            "status": "resolved" if request.over else status,
            "body": request.message,
            "metadata": {
                **found["metadata"],
                _OURS: {**ours, "effects": [*ours["effects"], request.effect.key][-_KEYS_KEPT:]},
            },
            "deliver_notifications": True,
        }
        if request.over:
            incident["components"] = {component: others}
        if not request.effect.dry_run:
            self._call("PATCH", f"{self._incidents}/{found['id']}", json={"incident": incident})
            if request.over:
                self._settle(request.incident_id, component, "operational", others)
        return Change(
            target=target,
            before=status.capitalize(),
            after=str(incident["status"]).capitalize(),
            applied=not request.effect.dry_run,
        )

    def maintenance(self, request: UpdateMaintenance) -> Change:
        """Publish where a maintenance stands: a scheduled incident of the page, made when it is scheduled.

        Nothing moves on by itself there: what is said comes from the run alone.

        Raises:
            Misconfigured, Unavailable, RateLimited, NotFound, Refused: as `update`.

        """
        component = self._mapped(request.component)
        target = f"status page/{request.component}"
        found, others = self._find(request.window_id, component)
        ours = found["metadata"][_OURS] if found else {"incident_id": request.window_id, "effects": []}
        before = _MAINTENANCE_STATUS.get(str(found["status"])) if found else None
        if request.effect.key in ours["effects"]:
            if request.shows is not None and not request.effect.dry_run:
                self._settle(request.window_id, component, request.shows, _set_last(found, component))
            return Change(target=target, after=request.status, applied=False, note="published already")
        if before and MAINTENANCE_STATES.index(before) > MAINTENANCE_STATES.index(request.status):
            return Change(target=target, after=before, applied=False, note=f"{request.status} comes too late")
        if found is None and request.status == "Completed" and not request.effect.dry_run:
            return Change(target=target, after="nothing", applied=False, note="it was never announced")
        if not request.effect.dry_run:
            keys = [*ours["effects"], request.effect.key][-_KEYS_KEPT:]
            metadata = {**(found or {}).get("metadata", {}), _OURS: {**ours, "effects": keys}}
            self._publish_maintenance(request, component, found, metadata, others)
            if request.shows is not None:
                self._settle(request.window_id, component, request.shows, worst(request.shows, others))
        _log.info(
            "statuspage maintenance",
            component=request.component,
            status=request.status,
            new=found is None,
            dry_run=request.effect.dry_run,
        )
        return Change(
            target=target,
            before=before or "",
            after=f"{request.status}, component {request.shows}" if request.shows else request.status,
            applied=not request.effect.dry_run,
        )

    def _mapped(self, name: str) -> str:
        component = self._components.get(name)
        if component is None:
            known = ", ".join(sorted(self._components)) or "none"
            raise Misconfigured(f"[statuspage.components] does not map {name!r}; it has: {known}")
        return component

    def _publish_maintenance(
        self,
        request: UpdateMaintenance,
        component: str,
        found: dict[str, Any] | None,
        metadata: dict[str, Any],
        others: str,
    ) -> None:
        incident: dict[str, Any] = {
            "status": request.status.lower().replace(" ", "_"),
            "body": request.message,
            "scheduled_for": request.starts_at.isoformat(),
            "scheduled_until": request.ends_at.isoformat(),
            "component_ids": [component],
            "metadata": metadata,
            "deliver_notifications": True,
        }
        if request.shows is not None:
            incident["components"] = {component: worst(request.shows, others)}
        if found is not None:
            self._call("PATCH", f"{self._incidents}/{found['id']}", json={"incident": incident})
            return
        by_us_alone = dict.fromkeys(
            (
                "scheduled_remind_prior",
                "scheduled_auto_in_progress",
                "scheduled_auto_completed",
                "auto_transition_to_maintenance_state",
                "auto_transition_to_operational_state",
            ),
            False,
        )
        new = {"name": request.title, "impact_override": "maintenance", **by_us_alone, **incident}
        self._call("POST", self._incidents, json={"incident": new})

    def _find(self, incident_id: str, component: str) -> tuple[dict[str, Any] | None, str]:
        """Find the page's incident that is ours, and the worst that others say of the component.

        Both among the latest few hundred; what others have open is on the first pages.
        """
        others = "operational"
        for page in range(1, _PAGES_SEARCHED + 1):
            query = {"limit": _PAGE_SIZE, "page": page}
            items = self._call("GET", self._incidents, params=query)
            if not isinstance(items, list):
                raise Unavailable(f"{_SYSTEM} answered something else than a list of incidents")
            found = None
            for item in items:
                ours = (item.get("metadata") or {}).get(_OURS) or {}
                if ours.get("incident_id") == incident_id:
                    ours.setdefault("effects", [])
                    found = dict(item)
                else:
                    others = worst(others, _says(item, component))
            if found is not None or len(items) < _PAGE_SIZE:
                return found, others
        return None, others

    def _settle(self, incident_id: str, component: str, says: str, shown: str) -> None:
        """Look whether what we have set is the worst that we and others say by now, and put it right."""
        for _ in range(_LOOKS):
            _, others = self._find(incident_id, component)
            right = worst(says, others)
            if right == shown:
                return
            self._call("PATCH", f"{self._parts}/{component}", json={"component": {"status": right}})
            _log.info("statuspage component", component=component, was=shown, shows=right)
            shown = right

    def _publish(
        self,
        request: UpdateStatusPage,
        component: str,
        found: dict[str, Any] | None,
        metadata: dict[str, Any],
        *,
        state: str,
    ) -> None:
        incident: dict[str, Any] = {
            "status": request.status.lower(),
            "body": request.message,
            "components": {component: state},
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


def _says(incident: dict[str, Any], component: str) -> str:
    """Give what another incident or maintenance that isn't over makes of a component.

    A run's incident says it by its own status; a person's by what its updates have set, since the component's state of
    this moment may be ours.
    """
    named = {part["id"] for part in incident.get("components") or []}
    status = str(incident.get("status", ""))
    if component not in named or status in _OVER:
        return "operational"
    if status in _MAINTENANCE:
        return "under_maintenance"
    if _OURS in (incident.get("metadata") or {}):
        return next((state for known, state in COMPONENT_SHOWS.items() if known.lower() == status), "operational")
    for update in incident.get("incident_updates") or []:  # newest first
        for part in update.get("affected_components") or []:
            if part.get("code") == component and part.get("new_status") in COMPONENT_STATES:
                return str(part["new_status"])
    return _IMPACT.get(str(incident.get("impact", "")), "degraded_performance")


def _set_last(incident: dict[str, Any] | None, component: str) -> str:
    """Give what an incident's updates have set a component to, the newest first; empty where none has."""
    for update in (incident or {}).get("incident_updates") or []:
        for part in update.get("affected_components") or []:
            if part.get("code") == component:
                return str(part.get("new_status", ""))
    return ""


def _sentence(response: "httpx.Response") -> str:
    said = response.json()["error"]
    return "; ".join(said) if isinstance(said, list) else str(said)
