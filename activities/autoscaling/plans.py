"""What a hold, its renewal and its release are going to do to an autoscaler as it is now (see `holds`)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from activities.autoscaling.objects import Autoscaler, Marker
from activities.common.effects import Change, Effect
from activities.common.errors import Refused
from activities.kubernetes.api import Object
from activities.kubernetes.effect_notes import Done

_GRACE = timedelta(minutes=10)
"""How long a run may take to release what it held, before another takes the hold over."""

_EARLIER = "done by an earlier attempt"


@dataclass(frozen=True)
class Plan:
    """What an effect is going to do; no patch where there is nothing to do."""

    before: str
    after: str
    note: str = ""
    ours: bool = True
    """False: somebody else wants the autoscaler as it is."""
    until: datetime | None = None
    """Of a hold: until when it says that it lasts."""
    over: bool = False
    """Of a hold: it was this lease's, and has been let go already."""
    patch: Object | None = None

    def only(self) -> "Plan":
        """Give the plan that stays one."""
        return replace(self, note=_joined(self.note, "plan only: the API server would accept it"))

    def change(self, target: str, *, applied: bool) -> Change:
        """Give it as the effect's result."""
        return Change(target=target, before=self.before, after=self.after, applied=applied, note=self.note)


def hold(found: Autoscaler, lease: str, until: datetime, floor: int, effect: Effect) -> Plan:
    """Hold it, unless somebody has paused it already.

    Raises:
        Refused: another run holds it, or it cannot be held so.

    """
    # The second: a lease that is released already must not be taken by a hold that comes late.
    if did := found.done(effect.key) or found.done(lease):
        mine = found.marker if found.marker and found.marker.lease == lease else None
        over = mine is None  # let go since, by the run before its reset or by somebody for it: not taken again
        ends = mine.until if mine else None
        return Plan(did.before, did.after, _joined(did.note, _EARLIER), until=ends, over=over)
    marker = found.marker
    if marker and marker.lease == lease:
        return Plan(found.as_with(marker.before), found.as_with(marker.held), _EARLIER, until=marker.until)
    if marker and datetime.now(UTC) < marker.until + _GRACE:
        raise Refused(
            f"{found.target} is held by run {marker.workflow_id} for {marker.by} until {_time(marker.until)}: "
            "extend or resume that run instead"
        )
    before, note = found.value, ""
    if marker and found.untouched(marker):
        before = marker.before
        note = f"taken over from run {marker.workflow_id}, which ended without releasing it"
    elif found.paused:
        note = f"paused by {found.others or 'somebody else'} before, and left to them"
        return Plan("", found.state, note, ours=False)
    held = found.holding(floor)
    new = Marker(
        lease=lease,
        until=until.astimezone(UTC),
        by=effect.actor,
        workflow_id=effect.workflow_id,
        before=before,
        held=held,
    )
    plan = Plan(found.as_with(before), found.as_with(held), note)
    return _noted(plan, found, held, new, effect)


def renew(found: Autoscaler, lease: str, until: datetime, effect: Effect) -> Plan:
    """Move the end of a hold."""
    if did := found.done(effect.key):
        return Plan(did.before, did.after, _EARLIER)
    marker = found.marker
    if marker is None or marker.lease != lease:
        return Plan("", found.state, "not held by this run any more: there is no end to move")
    plan = Plan(f"held until {_time(marker.until)}", f"held until {_time(until)}")
    moved = marker.model_copy(update={"until": until.astimezone(UTC)})
    return _noted(plan, found, found.value, moved, effect)


def release(found: Autoscaler, lease: str, effect: Effect) -> Plan:
    """Let it go as it was before; a plan that leaves it to somebody else always says why in its note."""
    if did := found.done(effect.key):
        return Plan(did.before, did.after, _joined(did.note, _EARLIER), ours=not did.note)
    marker = found.marker
    if marker is None and effect.dry_run:
        return Plan("", found.state, "plan only: nothing was held")
    if marker is None:
        # The note is left all the same: it tells a hold whose patch is still on its way that it comes too late.
        late = Done(key=lease, by=effect.actor, before="", after=found.state, note="released before it was held")
        plan = Plan("", found.state, "has no mark of this run's hold, and is left as it is", ours=False)
        return _noted(plan, found, found.value, None, effect, late)
    if marker.lease != lease:
        return Plan("", found.state, f"held by run {marker.workflow_id} by now, and left to it", ours=False)
    if not found.untouched(marker):
        note = f"changed by {found.others or 'somebody else'} meanwhile, and left as they want it"
        return _noted(Plan("", found.state, note, ours=False), found, found.value, None, effect)
    note = "our pause is removed, but somebody else has paused it at that number" if found.pinned else ""
    plan = Plan(found.state, found.as_with(marker.before), note, ours=not found.pinned)
    return _noted(plan, found, marker.before, None, effect)


def _noted(
    plan: Plan, found: Autoscaler, value: str | None, marker: Marker | None, effect: Effect, *more: Done
) -> Plan:
    done = Done(key=effect.key, by=effect.actor, before=plan.before, after=plan.after, note=plan.note)
    return replace(plan, patch=found.patch(value, marker, *more, done))


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
