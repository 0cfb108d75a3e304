"""CI status from GitHub: the check runs and commit statuses of a version's tag or commit.

The combined state that GitHub gives for statuses is of no use here: it says `pending` where there are none, and knows
nothing of check runs.
"""

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr, ValidationError

from activities.common.errors import InvalidInput, Misconfigured, RateLimited, Refused, Unavailable
from activities.common.http import TIMEOUT, send, wait_asked
from activities.releases.ci import CiRequest, CiStatus
from audit.text import counted
from libraries import httpx

_SYSTEM = "GitHub"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-]")
_PAGE = 100
_PAGES = 10
_NAMES_SHOWN = 5
_NAME_CHARACTERS = 80
_UNHURRIED = "60"
"""Seconds to wait where a limit is met and nothing says how long: GitHub's own advice."""

_FINE = frozenset({"success", "neutral", "skipped"})


class _CheckRun(BaseModel):
    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None

    @property
    def verdict(self) -> str:
        if self.status != "completed":
            return "running"
        # Whatever GitHub may come to add counts as failed until we know better.
        return str(self.conclusion) if self.conclusion in _FINE else "failed"


class _Status(BaseModel):
    context: str
    state: str
    target_url: str | None = None

    @property
    def verdict(self) -> str:
        return {"success": "success", "pending": "running"}.get(self.state, "failed")


class _Check(BaseModel):
    """A check run or a commit status: name, where to read more, and success, neutral, skipped, running or failed."""

    name: str
    url: str
    verdict: str


class _NoSuchRef(Exception):  # noqa: N818  GitHub has answered: it is no error
    """GitHub does not know the version."""


class GitHubCi:
    """GitHub's REST API; works with GitHub Enterprise by its base URL.

    The token needs to read checks and commit statuses of the repository.
    """

    def __init__(self, http: "httpx.Client", token: SecretStr, base_url: str) -> None:
        self._http = http
        self._token = token
        self._base_url = base_url.rstrip("/")

    def status(self, request: CiRequest) -> CiStatus:
        """Sum up all checks of the version, a Git ref of the repository.

        One failed check is `failed`, whatever still runs; a version of which nothing succeeded is `unknown`.

        Raises:
            Unavailable, RateLimited, Refused: as `http.send` does; Refused too for more checks than are read.
            Misconfigured: the service has no repository, or the token isn't accepted.
            InvalidInput: the version can't be a Git ref.

        """
        repository, ref = request.repository or "", request.version
        if not _REPOSITORY.fullmatch(repository):
            raise Misconfigured(f"release.repository of {request.service}: GitHub's checks need it, as owner/name")
        if not ref.strip("."):
            raise InvalidInput("version: not a Git ref")
        commit = f"{self._base_url}/repos/{repository}/commits/{quote(ref, safe='')}"
        try:
            return _summed_up([*self._check_runs(commit), *self._statuses(commit)])
        except _NoSuchRef:
            detail = f"GitHub has no such version in {repository}, or the token may not see the repository"
            return CiStatus(verdict="unknown", detail=detail)
        except ValidationError:
            raise Unavailable(f"{_SYSTEM}'s answer can't be read") from None

    def _check_runs(self, commit: str) -> Iterator[_Check]:
        for item in self._items(f"{commit}/check-runs", "check_runs"):
            run = _CheckRun.model_validate(item)
            yield _Check(name=run.name, url=run.html_url or "", verdict=run.verdict)

    def _statuses(self, commit: str) -> Iterator[_Check]:
        for item in self._items(f"{commit}/status", "statuses"):
            status = _Status.model_validate(item)
            yield _Check(name=status.context, url=status.target_url or "", verdict=status.verdict)

    def _items(self, url: str, items: str) -> Iterator[Any]:
        """Go through a list's pages, which say how many items there are in all."""
        seen = 0
        for page in range(1, _PAGES + 1):
            answer = send(_SYSTEM, partial(self._get, url, page), secret=self._token, sentence=_sentence)
            try:
                body = answer.json()
                found, total = list(body[items]), int(body["total_count"])
            except (ValueError, KeyError, TypeError):
                raise Unavailable(f"{_SYSTEM}'s answer can't be read") from None
            yield from found
            seen += len(found)
            if seen >= total or not found:
                return
        raise Refused(f"{_SYSTEM} has more than {_PAGES * _PAGE} checks of the version: too many to sum up")

    def _get(self, url: str, page: int) -> "httpx.Response":
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token.get_secret_value()}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        # A renamed repository answers with a redirect; the client doesn't take the token to another host.
        answer = self._http.get(
            url, params={"per_page": _PAGE, "page": page}, headers=headers, timeout=TIMEOUT, follow_redirects=True
        )
        if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            raise _NoSuchRef
        _slow_down(answer)
        return answer


def _slow_down(answer: "httpx.Response") -> None:
    """Tell GitHub's limits from its refusals: both may be 403."""
    if answer.status_code not in {httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
        return
    headers = answer.headers
    spent = headers.get("x-ratelimit-remaining") == "0"
    limited = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or spent or "retry-after" in headers
    if not limited and "rate limit" not in answer.text.lower():
        return
    seconds = _UNHURRIED
    if spent and (reset := headers.get("x-ratelimit-reset", "")).isdecimal():
        seconds = str(max(int(reset[:12]) - int(time.time()), 1))
    wait = wait_asked(headers) or wait_asked({"retry-after": seconds})
    raise RateLimited(f"{_SYSTEM} asks us to slow down (HTTP {answer.status_code})", next_retry_delay=wait)


def _summed_up(checks: list[_Check]) -> CiStatus:
    failed = [check for check in checks if check.verdict == "failed"]
    running = [check for check in checks if check.verdict == "running"]
    succeeded = [check for check in checks if check.verdict == "success"]
    if failed:
        return CiStatus(verdict="failed", detail=_named(failed), url=failed[0].url)
    if running:
        return CiStatus(verdict="running", detail=_named(running), url=running[0].url)
    if succeeded:
        return CiStatus(verdict="passed", detail=counted(len(succeeded), "check"), url=succeeded[0].url)
    return CiStatus(verdict="unknown", detail="every check was skipped" if checks else "no checks")


def _named(checks: list[_Check]) -> str:
    shown = ["".join(c for c in check.name if c.isprintable())[:_NAME_CHARACTERS] for check in checks[:_NAMES_SHOWN]]
    more = len(checks) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _sentence(response: "httpx.Response") -> str:
    return str(response.json()["message"])
