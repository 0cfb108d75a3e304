"""Changes of the cluster's objects: read, plan, patch, and once more where somebody was faster.

The one place for it, whatever is changed. A patch goes out under our name; in plan mode the API server only tries it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from activities.common.effects import Change, Effect
from activities.common.errors import ActivityFailure, Conflict
from activities.kubernetes import effect_notes
from activities.kubernetes.api import FIELD_MANAGER, Object, ask
from activities.kubernetes.effect_notes import Done
from libraries import logger

_PAUSES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds before each try of a patch: together longer than a controller's bursts of status updates."""

_MERGE_PATCH = "application/merge-patch+json"
_EARLIER = "done by an earlier attempt"
_PLANNED = "plan only: the API server would accept it"
_log = logger(__name__)

Body = list[Object] | Object
"""A JSON patch (a list) or a merge patch, with the resourceVersion that was read."""

_Found = TypeVar("_Found")
_Decided = TypeVar("_Decided")


@dataclass(frozen=True)
class Plan:
    """What an effect is going to do; no patch where there is nothing to do."""

    before: str
    after: str
    patch: Callable[[Done], Body] | None = None
    """Makes the body from the note that it leaves."""


def change(
    target: str,
    effect: Effect,
    *,
    read: Callable[[], _Found],
    notes: Callable[[_Found], Iterable[Mapping[str, str]]],
    plan: Callable[[_Found], Plan],
    send: Callable[[Body], None],
) -> Change:
    """Change an object once: an attempt that finds its note among the annotations answers what the first one did.

    The note is looked for before the plan is made: what that looks for may be gone because the work is done.

    Raises:
        Conflict: it changes all the time. Also what `read`, `plan` and `send` raise.

    """

    def decide(found: _Found) -> tuple[Change, Body | None]:
        if did := effect_notes.find(effect.key, *notes(found)):
            return Change(target=target, before=did.before, after=did.after, applied=False, note=_EARLIER), None
        planned = plan(found)
        change = Change(target=target, before=planned.before, after=planned.after, applied=False)
        if planned.patch is None:
            return change, None
        note = Done(key=effect.key, by=effect.actor, before=planned.before, after=planned.after)
        return change, planned.patch(note)

    _, change, sent = settle(target, read=read, plan=decide, send=lambda _, body: send(body))
    if not sent:
        return change
    if effect.dry_run:
        return change.model_copy(update={"note": _PLANNED})
    kind, _, name = target.partition("/")
    _log.info(f"{kind} changed", name=name, before=change.before, after=change.after, effect=effect.key)
    return change.model_copy(update={"applied": True})


def settle(
    what: str,
    *,
    read: Callable[[], _Found],
    plan: Callable[[_Found], tuple[_Decided, Body | None]],
    send: Callable[[_Found, Body], None],
    collided: tuple[type[ActivityFailure], ...] = (Conflict,),
) -> tuple[_Found, _Decided, bool]:
    """Read, plan, send; plan again from what is there then where anybody was faster.

    Gives what was read last, what was decided, and whether anything was sent.

    Raises:
        Conflict: it changes all the time.

    """
    for pause in _PAUSES:
        time.sleep(pause)
        found = read()
        decided, body = plan(found)
        if body is None:
            return found, decided, False
        try:
            send(found, body)
        except collided:
            continue
        return found, decided, True
    raise Conflict(f"{what} changes all the time")


def patch(method: Callable[..., Any], *target: str, body: Body, dry_run: bool) -> None:
    """Send a patch by a method of the official client.

    Raises:
        Conflict: the patch names a resourceVersion, and the object has another one by now.

    """
    options: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
    if isinstance(body, dict):
        options["_content_type"] = _MERGE_PATCH
    ask(method, *target, body, field_manager=FIELD_MANAGER, **options)
