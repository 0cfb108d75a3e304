"""The alerts of one incident: which of them still fire, and what a post of several adds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from temporalio import workflow

from activities.records.alerts import Alert
from workflows.platform.runbook import Runbook

_NAMED = 5


@dataclass
class News:
    """What a post added."""

    joined: list[Alert] = field(default_factory=list)
    """Firings that the incident didn't have."""

    ended: list[Alert] = field(default_factory=list)
    """Ends of firings that it had."""

    def __str__(self) -> str:
        return named(self.joined)


def named(alerts: Sequence[Alert]) -> str:
    """Name alerts and what each is about: a storm names the first ones and counts the others."""
    names = list(dict.fromkeys(_about(alert) for alert in alerts))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def batched(alerts: Sequence[Alert], most: int) -> Iterator[Sequence[Alert]]:
    """Give them in order, some at a time."""
    return (alerts[first : first + most] for first in range(0, len(alerts), most))


def named_end(end: Alert, firings: Sequence[Alert]) -> Alert:
    """Give an end the start of the firing that it is of, where its source says that by a name or not at all.

    The records know a firing by its start. An end that is of none of them stays as it is.
    """
    if end.of_whichever:
        same = [one for one in firings if _same(one, end) and one.starts_at <= end.starts_at]
    else:
        same = [one for one in firings if end.key and one.episode == end.episode]
    began = max(same, key=lambda one: one.starts_at, default=None)
    return end if began is None else end.model_copy(update={"starts_at": began.starts_at, "key": began.key})


class UnnamedEnds:
    """Ends by sources that don't tell which firing is over: such an end counts also for a firing that comes after it.

    SNS keeps no order, and of two webhooks each may be told one of the two.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Alert] = {}

    def add(self, end: Alert) -> None:
        """Take an end; one that names its firing, or tells its start, is not kept."""
        which = (end.source, end.fingerprint)
        if end.of_whichever and end.starts_at >= self._last.get(which, end).starts_at:
            self._last[which] = end

    def cover(self, firing: Alert) -> bool:
        """Tell whether a firing had begun by the last end of its alert."""
        end = self._last.get((firing.source, firing.fingerprint))
        return end is not None and not firing.key and firing.starts_at <= end.starts_at


def was_over(run: Runbook, firing: Alert, ends: UnnamedEnds) -> bool:
    """Tell whether a firing that is new had ended before it came: the run remembers it, and does nothing about it."""
    if run.has_taken(firing) or not ends.cover(firing):
        return False
    if workflow.patched("ended-before-it-came"):
        run.say("signal", f"{named([firing])} had fired, and is over already")
        run.took(firing)
        return True
    return False


def _about(alert: Alert) -> str:
    what = alert.labels.get("pod") or alert.labels.get("instance") or ""
    return f"{alert.name} ({what})" if what else alert.name


class JoinedAlerts:
    """The firings of one incident: its service is told to be well again only when all of them are over."""

    def __init__(self) -> None:
        self._firing: dict[str, Alert] = {}
        self._ours: set[str] = set()
        """Firings that were taken, and whose end nobody has told."""

        self._known: set[str] = set()
        self._began: dict[str, Alert] = {}
        """Every firing, as it was taken: the records know it by its start."""

    def fires(self, alert: Alert) -> bool:
        """Take a firing; False where it is known, or its end came before it."""
        if alert.episode in self._known:
            return False
        self._known.add(alert.episode)
        self._ours.add(alert.episode)
        self._began[alert.episode] = alert
        same = [one for one in self._firing.values() if _same(one, alert)]
        if all(one.starts_at <= alert.starts_at for one in same):
            # Whoever fires anew has ended before, though nobody said so.
            for one in same:
                del self._firing[one.episode]
            self._firing[alert.episode] = alert
        return True

    def named(self, end: Alert) -> Alert:
        """Give an end the start of the firing that it is of, where its source says that by a name or not at all."""
        return named_end(end, [*self._firing.values()] if end.of_whichever else [*self._began.values()])

    def ends(self, alert: Alert) -> bool:
        """Take an end; False where the firing isn't one of the incident's, or has ended already."""
        self._known.add(alert.episode)
        self._firing.pop(alert.episode, None)
        ours = alert.episode in self._ours
        self._ours.discard(alert.episode)
        return ours

    @property
    def firing(self) -> list[Alert]:
        """Those that still fire."""
        return [*self._firing.values()]


def _same(one: Alert, other: Alert) -> bool:
    return (one.source, one.fingerprint) == (other.source, other.fingerprint)
