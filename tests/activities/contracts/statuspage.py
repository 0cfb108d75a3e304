"""The part of Atlassian Statuspage's REST API v1 that we use, as developer.statuspage.io describes it."""

import itertools
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_STATUSES = {
    "investigating",
    "identified",
    "monitoring",
    "resolved",
    "scheduled",
    "in_progress",
    "verifying",
    "completed",
}
_COMPONENT_STATUSES = {"operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"}
_TIMES = {"scheduled_for", "scheduled_until"}
_AUTOMATIC = {
    "scheduled_remind_prior",
    "scheduled_auto_in_progress",
    "scheduled_auto_completed",
    "auto_transition_to_maintenance_state",
    "auto_transition_to_operational_state",
}
_FIELDS = {
    "name",
    "status",
    "body",
    "components",
    "component_ids",
    "metadata",
    "deliver_notifications",
    "impact_override",
    *_TIMES,
    *_AUTOMATIC,
}


class StatuspageContract:
    """One page: `incidents` newest first, each with its updates; `components` by ID."""

    def __init__(self, api_key: str, page_id: str, components: list[str]) -> None:
        self.api_key, self.page_id = api_key, page_id
        self.components = dict.fromkeys(components, "operational")
        self.incidents: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        base = "/v1/pages/{page}/incidents"
        self.app = Starlette(
            routes=[
                Route(base, self._list, methods=["GET"]),
                Route(base, self._create, methods=["POST"]),
                Route(base + "/{incident}", self._update, methods=["PATCH"]),
                Route("/v1/pages/{page}/components/{component}", self._set, methods=["PATCH"]),
            ]
        )

    def updates(self, number: int = 0) -> list[str]:
        """The updates of an incident, oldest first."""
        return [update["status"] for update in reversed(self.incidents[number]["incident_updates"])]

    def _no(self, request: Request) -> JSONResponse | None:
        if request.headers.get("authorization") != f"OAuth {self.api_key}":
            return JSONResponse({"error": "Could not authenticate"}, 401)
        if request.path_params["page"] != self.page_id:
            return JSONResponse({"error": "page not found"}, 404)
        return None

    async def _list(self, request: Request) -> JSONResponse:
        no = self._no(request)
        if no is not None:
            return no
        limit, page = int(request.query_params.get("limit", 100)), int(request.query_params.get("page", 1))
        assert 1 <= limit <= 100
        return JSONResponse(self.incidents[(page - 1) * limit : page * limit])

    async def _create(self, request: Request) -> JSONResponse:
        no = self._no(request)
        if no is not None:
            return no
        content = (await request.json())["incident"]
        errors = self._errors(content)
        if not content.get("name"):
            errors.append("Name can't be blank")
        if errors:
            return JSONResponse({"error": errors}, 422)
        incident = {
            "id": f"inc{next(self._numbers)}",
            "page_id": self.page_id,
            "incident_updates": [],
            "components": [],
        }
        self.incidents.insert(0, incident)
        self._apply(incident, content)
        return JSONResponse(incident, 201)

    async def _update(self, request: Request) -> JSONResponse:
        no = self._no(request)
        if no is not None:
            return no
        content = (await request.json())["incident"]
        incident = next((i for i in self.incidents if i["id"] == request.path_params["incident"]), None)
        if incident is None:
            return JSONResponse({"error": "incident not found"}, 404)
        errors = self._errors(content)
        if errors:
            return JSONResponse({"error": errors}, 422)
        self._apply(incident, content)
        return JSONResponse(incident, 200)

    async def _set(self, request: Request) -> JSONResponse:
        no = self._no(request)
        if no is not None:
            return no
        name, content = request.path_params["component"], (await request.json())["component"]
        if name not in self.components:
            return JSONResponse({"error": "component not found"}, 404)
        if set(content) != {"status"} or content["status"] not in _COMPONENT_STATUSES:
            return JSONResponse({"error": ["Status is not included in the list"]}, 422)
        self.components[name] = content["status"]
        return JSONResponse({"id": name, **content})

    def _errors(self, content: dict[str, Any]) -> list[str]:
        errors = [f"{name} is not a field" for name in sorted(set(content) - _FIELDS)]
        if content.get("status") not in _STATUSES:
            errors.append("Status is not included in the list")
        named = {*content.get("components", {}), *content.get("component_ids", [])}
        errors += [f"Component {name} is not of this page" for name in sorted(named - set(self.components))]
        if not set(content.get("components", {}).values()) <= _COMPONENT_STATUSES:
            errors.append("Component status is not included in the list")
        if not all(isinstance(value, dict) for value in content.get("metadata", {}).values()):
            errors.append("Metadata top-level values must be objects")
        return errors

    def _apply(self, incident: dict[str, Any], content: dict[str, Any]) -> None:
        incident["name"] = content.get("name", incident.get("name"))
        incident["status"] = content["status"]
        incident["metadata"] = content.get("metadata", incident.get("metadata", {}))
        incident.update({name: content[name] for name in {*_TIMES, *_AUTOMATIC} & set(content)})
        self.components.update(content.get("components", {}))
        ids = content.get("component_ids", [part["id"] for part in incident["components"]])
        incident["components"] = [{"id": name, "status": self.components[name]} for name in ids]
        affected = [{"code": code, "new_status": new} for code, new in content.get("components", {}).items()]
        update = {
            "id": f"upd{next(self._numbers)}",
            "status": content["status"],
            "body": content.get("body", ""),
            "affected_components": affected,
        }
        incident["incident_updates"].insert(0, update)
