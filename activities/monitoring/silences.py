"""Alertmanager's silences as a hold, through its HTTP API v2 (runbook 6.1).

POST has no idempotency key, so each silence carries a mark of ours in its comment, and is looked for by it first: the
list has expired ones too, for as long as Alertmanager keeps them. The mark says as well until when we wanted it, so
that what a person has changed since is seen, and stays:

- one that people have lifted is not set again, and one that they let last longer is neither shortened nor lifted;
- one whose matchers they have changed has another ID and our comment: it is extended with their matchers.
"""

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, RateLimited, Refused, Unavailable, unavailable
from audit.text import counted
from libraries import httpx, logger

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logger(__name__)
_SYSTEM = "Alertmanager"
_TIMEOUT = (2.0, 3.0, 3.0, 3.0)
"""Seconds to connect, read, write, and to wait for a free connection."""

_SAME = timedelta(seconds=2)
"""Ends this close are the same: Alertmanager rounds to milliseconds, the mark to seconds."""

_ERROR_CHARACTERS = 300
_MARK = re.compile(r"\[durable-runbooks (?P<hold>\S+) until (?P<until>\S+)\]")


class SetSilence(BaseModel):
    """Silence alerts from now on, or let the hold's silence last longer."""

    hold: str = Field(pattern=r"^\S+$", description="What it is held for, e.g. a window's ID: one silence each.")
    labels: dict[str, str] = Field(min_length=1, description="Of the alerts; all must be equal.")
    ends_at: datetime
    comment: str
    effect: Effect


class LiftSilence(BaseModel):
    """Let alerts through again."""

    hold: str
    effect: Effect


class _Silence(BaseModel):
    """One of ours, as Alertmanager has it."""

    id: str
    state: str
    starts_at: datetime
    ends_at: datetime
    told_until: datetime
    matchers: list[dict[str, Any]]

    @property
    def live(self) -> bool:
        return self.state in {"active", "pending"}

    @property
    def cut_short(self) -> bool:
        """Whether somebody has ended it before the time that we had asked for."""
        return not self.live and self.ends_at < self.told_until - _SAME

    @property
    def lengthened(self) -> bool:
        """Whether somebody lets it last longer than we had asked for."""
        return self.live and self.ends_at > self.told_until + _SAME


class Silences:
    """Sets and lifts silences.

    Raises from every method: `Unavailable` (no answer, 5xx; it may have happened), `RateLimited`, `Refused` (4xx; says
    Alertmanager's sentence), `Misconfigured` (a proxy asks for a login). Without a URL nothing is silenced, and the
    answer says so.
    """

    def __init__(self, http: "httpx.Client", url: str | None) -> None:
        self._http = http
        self._url = url and f"{url.rstrip('/')}/api/v2"

    @activity.defn(name="silences.set")
    @effect
    def set(self, request: SetSilence) -> Change:
        """Silence, or extend; a shorter time than there is changes nothing."""
        if self._url is None:
            return _nowhere(request.hold)
        found = self._ours(request.hold)
        live = sorted((each for each in found if each.live), key=lambda each: each.ends_at)
        target = f"silence/{request.hold}"
        told = f"{', '.join(f'{k}={v}' for k, v in request.labels.items())} until {_shown(request.ends_at)}"
        if not live and found and max(found, key=lambda each: each.ends_at).cut_short:
            return Change(target=target, after="not silenced", applied=False, note="it was lifted since: it stays so")
        last = live[-1] if live else None
        # Two attempts that overlapped have left two: one is enough.
        self._lift(live[:-1], dry_run=request.effect.dry_run)
        if last is not None and last.ends_at >= request.ends_at - _SAME:
            note = "people have made it last longer" if last.lengthened else "silenced already"
            return Change(target=target, after=f"silenced until {_shown(last.ends_at)}", applied=False, note=note)
        if not request.effect.dry_run:
            self._post(request, last)
        _log.info("silence set", hold=request.hold, extended=last is not None, dry_run=request.effect.dry_run)
        return Change(
            target=target,
            before=f"until {_shown(last.ends_at)}" if last else "",
            after=f"silenced: {told}",
            applied=not request.effect.dry_run,
            note=_matchers_note(last, request.labels),
        )

    @activity.defn(name="silences.lift")
    @effect
    def lift(self, request: LiftSilence) -> Change:
        """Expire whatever is left of the hold; one that people have made last longer is theirs now, and stays."""
        if self._url is None:
            return _nowhere(request.hold)
        found = self._ours(request.hold)
        theirs = [each for each in found if each.lengthened]
        mine = [each for each in found if each.live and not each.lengthened]
        self._lift(mine, dry_run=request.effect.dry_run)
        _log.info(
            "silence lifted", hold=request.hold, lifted=len(mine), left=len(theirs), dry_run=request.effect.dry_run
        )
        if theirs:
            until = _shown(max(each.ends_at for each in theirs))
            note = f"people have made it last until {until}: it stays, and is theirs to expire"
            return Change(target=f"silence/{request.hold}", after="silenced by people", applied=bool(mine), note=note)
        return Change(
            target=f"silence/{request.hold}",
            before="silenced" if mine else "",
            after="lifted",
            applied=bool(mine) and not request.effect.dry_run,
            note="" if len(mine) == 1 else f"{counted(len(mine), 'silence')} of ours" if mine else "none was left",
        )

    def _ours(self, hold: str) -> list[_Silence]:
        items = self._call("GET", "/silences")
        if not isinstance(items, list):
            raise Unavailable(f"{_SYSTEM} answered something else than a list of silences")
        found = []
        for item in items:
            mark = _MARK.search(str(item.get("comment", "")))
            if mark is None or mark["hold"] != hold:
                continue
            found.append(
                _Silence(
                    id=item["id"],
                    state=item["status"]["state"],
                    starts_at=item["startsAt"],
                    ends_at=item["endsAt"],
                    told_until=datetime.fromisoformat(mark["until"]),
                    matchers=item["matchers"],
                )
            )
        return found

    def _post(self, request: SetSilence, last: _Silence | None) -> None:
        ends_at = request.ends_at.astimezone(UTC)
        silence: dict[str, Any] = {
            "matchers": last.matchers if last else _matchers(request.labels),
            "startsAt": (last.starts_at if last else datetime.now(UTC)).astimezone(UTC).isoformat(),
            "endsAt": ends_at.isoformat(),
            "createdBy": f"durable-runbooks ({request.effect.workflow_id})",
            "comment": f"{request.comment} [durable-runbooks {request.hold} until {ends_at:%Y-%m-%dT%H:%M:%S+00:00}]",
        }
        if last is not None:
            silence["id"] = last.id
        self._call("POST", "/silences", json=silence)

    def _lift(self, silences: "Iterable[_Silence]", *, dry_run: bool) -> None:
        for each in silences:
            if not dry_run:
                self._call("DELETE", f"/silence/{each.id}")

    def _call(self, method: str, path: str, **content: Any) -> Any:
        try:
            answer = self._http.request(method, f"{self._url}{path}", timeout=_TIMEOUT, **content)
            said = answer.json() if answer.content else None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            unavailable(_SYSTEM, error)
        except ValueError:
            said = None
        if answer.is_success:
            return said
        message = f"{_SYSTEM} answered {answer.status_code}"
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise RateLimited(message)
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Misconfigured(f"{message}: what stands before it asks for a login")
        if answer.status_code == HTTPStatus.NOT_FOUND and method != "GET":
            # It has gone since we looked: another attempt looks again.
            raise Unavailable(message)
        if answer.is_client_error:
            sentence = " ".join(str(said or "").split())[:_ERROR_CHARACTERS]
            raise Refused(f"{message}{f': {sentence}' if sentence else ''}")
        raise Unavailable(message)


def _nowhere(hold: str) -> Change:
    note = "settings name no Alertmanager: [alertmanager] url"
    return Change(target=f"silence/{hold}", after="not silenced", applied=False, note=note)


def _matchers(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": k, "value": v, "isRegex": False, "isEqual": True} for k, v in sorted(labels.items())]


def _matchers_note(last: _Silence | None, labels: dict[str, str]) -> str:
    if last is None:
        return ""
    known = {(m["name"], m["value"], m.get("isRegex", False), m.get("isEqual", True)) for m in last.matchers}
    wanted = {(m["name"], m["value"], False, True) for m in _matchers(labels)}
    return "" if known == wanted else "people have changed what it matches: that stays"


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
