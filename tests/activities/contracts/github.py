"""
The part of GitHub's REST API that we use: check runs and combined status of a ref, as its documentation has them.

https://docs.github.com/en/rest/checks/runs and https://docs.github.com/en/rest/commits/statuses
"""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


class GitHubContract:
    """One repository: `runs[ref]` and `statuses[ref]` are its checks; a ref that neither has does not exist."""

    def __init__(self, token: str, repository: str) -> None:
        self.token = token
        self.repository = repository
        self.renamed_from = ""
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        commits = "/repos/{owner}/{name}/commits/{ref:path}"
        self.app = Starlette(
            routes=[Route(f"{commits}/check-runs", self._check_runs), Route(f"{commits}/status", self._status)]
        )

    def run(self, ref: str, name: str, conclusion: str | None = "success", status: str = "completed") -> None:
        """Add a check run."""
        number = len(self.runs.setdefault(ref, [])) + 1
        self.runs[ref].append(
            {
                "id": number,
                "name": name,
                "status": status,
                "conclusion": conclusion,
                "app": {"slug": "github-actions"},
                "html_url": f"https://github.example/{self.repository}/runs/{number}",
                "details_url": "",
                "output": {},
            }
        )

    def status(self, ref: str, context: str, state: str) -> None:
        """Add a commit status."""
        self.statuses.setdefault(ref, []).append(
            {"context": context, "state": state, "description": "", "target_url": None}
        )

    async def _check_runs(self, request: Request) -> Response:
        return self._refusal(request) or self._page(request, self.runs, "check_runs", {})

    async def _status(self, request: Request) -> Response:
        found = self.statuses.get(request.path_params["ref"], [])
        states = {status["state"] for status in found}
        combined = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
        return self._refusal(request) or self._page(request, self.statuses, "statuses", {"state": combined})

    def _refusal(self, request: Request) -> Response | None:
        self.asked.append(str(request.url))
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"message": f"Bad credentials {request.headers.get('authorization')}"}, 401)
        asked_for = f"{request.path_params['owner']}/{request.path_params['name']}"
        if asked_for == self.renamed_from:
            return RedirectResponse(str(request.url).replace(asked_for, self.repository), 301)
        if asked_for != self.repository:
            return JSONResponse({"message": "Not Found"}, 404)
        ref = request.path_params["ref"]
        if ref not in self.runs and ref not in self.statuses:
            return JSONResponse({"message": f"No commit found for SHA: {ref}"}, 422)
        return None

    def _page(
        self, request: Request, all_of: dict[str, list[dict[str, Any]]], name: str, more: dict[str, Any]
    ) -> Response:
        items = all_of.get(request.path_params["ref"], [])
        size, page = min(int(request.query_params["per_page"]), 100), int(request.query_params["page"])
        found = items[(page - 1) * size : page * size]
        return JSONResponse({"total_count": len(items), name: found, **more})
