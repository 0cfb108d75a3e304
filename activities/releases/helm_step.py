"""One effect on one Helm release: looks whether it is done, makes way, lets Helm do it, and tells how it ended."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.common.effects import Effect
from activities.common.errors import ActivityFailure, Conflict, NotFound, Refused, Unavailable
from activities.common.programs import Finished
from activities.releases import helm_cli
from activities.releases.helm_cli import HelmCli, HelmRevision
from activities.releases.helm_pods import ReleasePods
from activities.releases.helm_records import HelmRecords
from libraries import logger

Own = Callable[[list[HelmRevision], bool], HelmRevision | None]
"""Finds the revision that this very effect has made; is told whether it has begun before."""

_DONE = frozenset({"deployed", "superseded"})
_EARLIER = "done by an earlier attempt"
_RESUMED = "an earlier attempt was interrupted; this one went on"
_GIVEN_UP = "waiting was given up, since the pods go on failing"
_PLAN = "plan only: Helm would accept it"

_log = logger(__name__)


@dataclass(frozen=True)
class Systems:
    """What a step works with."""

    cli: HelmCli
    records: HelmRecords
    pods: ReleasePods


@dataclass(frozen=True)
class Outcome:
    """How a step ended, in the fields of a `ReleaseChange`."""

    target: str
    before: str
    after: str
    applied: bool
    note: str
    deployed: bool
    revision: int
    reason: str = ""


@dataclass(frozen=True)
class Step:
    """An upgrade, an install or a rollback; the next revision is `from_revision` + 1."""

    systems: Systems
    namespace: str
    release: str
    from_revision: int
    timeout: timedelta
    effect: Effect
    before: str
    after: str
    """What the new revision is, for example `v1.2.4`."""
    own: Own
    needs: int | None = None
    """A revision that must be there."""

    remarks: tuple[str, ...] = ()
    """What else people should know of it."""

    while_at_it: Callable[[], AbstractContextManager[None]] = nullcontext
    """What is to hold while Helm is at work."""

    def take(self, command: list[str]) -> Outcome:
        """Do it once, however often this is called.

        Raises:
            NotFound: the revision that it needs isn't there.
            Refused: somebody else has released meanwhile, or is doing so now; Helm or the API server said no.
            Conflict: somebody else was faster.
            Unavailable: the cluster doesn't answer, or Helm was interrupted: another attempt goes on.
            CancelledError: the activity was cancelled; the release isn't left pending.

        """
        revisions = self._history()
        begun = activity.info().attempt > 1
        own = self.own(revisions, begun)
        if own is not None and not _interrupted(own):
            return self._outcome(own, [_EARLIER if begun else "done already"], applied=False, newest=revisions[-1])
        others = [revision for revision in revisions if revision != own]
        self._require_needed(others)
        stale = self._stale(others)
        self._require_not_stopped(own)
        notes = [*([_RESUMED] if own else []), *self.remarks]
        if stale:
            notes.append(
                f"revision {stale.number} had been {stale.status} since {stale.updated_at:%F %H:%M %Z} and was given up"
            )
        if self.effect.dry_run:
            return self._plan(command, notes, certain=stale is None)
        if own is not None:
            self.systems.records.forget(self.namespace, self.release, own.number)
        if stale is not None and not self._set_failed(stale.number, f"given up by {self.effect.workflow_id}"):
            raise Conflict(f"release {self.release}: revision {stale.number} has come to an end meanwhile")
        return self._end(self._run(command), notes)

    def _history(self) -> list[HelmRevision]:
        return self.systems.cli.history(self.namespace, self.release)

    def _require_needed(self, others: list[HelmRevision]) -> None:
        numbers = [revision.number for revision in others]
        if self.needs is not None and self.needs not in numbers:
            known = ", ".join(map(str, numbers)) or "none"
            raise NotFound(f"release {self.release} has no revision {self.needs}; it has: {known}")

    def _require_not_stopped(self, own: HelmRevision | None) -> None:
        """Refuse to start what another run keeps stopped; looked at now, and not when it was decided."""
        where = (self.namespace, self.release)
        jobs = self.systems.cli.cron_jobs(*where, self.from_revision) if self.from_revision else []
        held = self.systems.pods.stopped(*where, self.effect.workflow_id, jobs)
        if not held:
            return
        if own is not None and own.pending:
            self._set_failed(own.number, held)
        raise Refused(f"release {self.release}: {held}: a release would start it. Wait for that run, or cancel it")

    def _stale(self, others: list[HelmRevision]) -> HelmRevision | None:
        """Refuse where somebody else was or is at it; give what somebody has left pending for longer than we'd wait."""
        newest = others[-1] if others else None
        number = newest.number if newest else 0
        if newest is not None and newest.pending:
            until = newest.updated_at + self.timeout
            if datetime.now(UTC) < until:
                # Not by us: an attempt of ours that died would have been recognised.
                raise Refused(
                    f"release {self.release}: somebody else is at it, revision {number} is {newest.status} since "
                    f"{newest.updated_at:%H:%M:%S %Z}. Try again when it has ended; at {until:%H:%M:%S %Z} it counts "
                    "as abandoned"
                )
        if newest is not None and (why := newest.uninstalled(self.namespace, self.release)):
            raise Refused(why)  # it keeps its number, so that alone doesn't tell
        if number != self.from_revision:
            # A release in the meantime, perhaps the fix: what was decided was decided about another state.
            now = f"on revision {number} now ({newest.status}: {newest.description})" if newest else "gone"
            raise Refused(f"release {self.release} is {now}, no longer on revision {self.from_revision}")
        if newest is None and (elsewhere := self.systems.records.kept_elsewhere(self.namespace, self.release)):
            raise Refused(elsewhere)
        return newest if newest and newest.pending else None

    def _plan(self, command: list[str], notes: list[str], *, certain: bool) -> Outcome:
        if certain:  # Helm doesn't even try where something is pending
            done = self.systems.cli.run(*command, f"--namespace={self.namespace}")
            if done.code:
                raise helm_cli.failure(done)
        number = self.from_revision + 1
        return Outcome(
            target=f"release/{self.release}",
            before=self.before,
            after=f"revision {number} ({self.after})",
            applied=False,
            note="; ".join([_PLAN, *notes]),
            deployed=True,
            revision=number,
        )

    def _run(self, command: list[str]) -> Finished:
        milliseconds = round(self.timeout.total_seconds() * 1000)
        _log.info("helm begins", release=self.release, command=command[0], to=self.after, effect=self.effect.key)
        try:
            with self.while_at_it():
                return self.systems.cli.run(
                    *command,
                    *(f"--namespace={self.namespace}", "--wait", f"--timeout={milliseconds}ms"),
                    hopeless=self.systems.pods.hopeless(self.namespace, self.release),
                )
        except CancelledError:
            # Asked to end, `helm upgrade` says so in the history; `helm rollback` just goes.
            try:
                self._set_failed(self.from_revision + 1, f"cancelled by whoever cancelled {self.effect.workflow_id}")
            except ActivityFailure as failure:
                _log.warning("a helm revision may be left pending", release=self.release, reason=failure.message)
            raise

    def _set_failed(self, number: int, why: str) -> bool:
        # In Helm's own words for it, by which a rollback's next attempt knows its failure.
        description = f'Release "{self.release}" failed: {why}'
        return self.systems.records.fail(self.namespace, self.release, number, description)

    def _end(self, done: Finished, notes: list[str]) -> Outcome:
        revisions = self._history()
        own = self.own(revisions, True)
        failure = helm_cli.failure(done)
        if own is None:
            raise failure
        if own.pending:
            # Helm couldn't say how it ended: the cluster was away or Helm was killed, else it's a hook that failed.
            if isinstance(failure, Unavailable) and not done.given_up:
                raise failure
            self._set_failed(own.number, _GIVEN_UP if done.given_up else failure.message)
            own = own.model_copy(update={"status": "failed", "description": failure.message})
        if _interrupted(own) and not done.given_up:
            raise Unavailable(f"helm was interrupted ({own.description}); the next attempt goes on")
        if done.given_up:
            own = own.model_copy(update={"description": _GIVEN_UP})
        return self._outcome(own, notes, applied=True, newest=revisions[-1])

    def _outcome(self, own: HelmRevision, notes: list[str], *, applied: bool, newest: HelmRevision) -> Outcome:
        deployed = own.status in _DONE
        if own.number != self.from_revision + 1:
            notes = [*notes, f"somebody else's revision {own.number - 1} came just before"]
        if newest.number != own.number:
            notes = [*notes, f"revision {newest.number} has come since"]
        reason = "" if deployed else self._reason(own)
        _log.info("helm ended", release=self.release, revision=own.number, status=own.status, reason=reason)
        return Outcome(
            target=f"release/{self.release}",
            before=self.before,
            after=f"revision {own.number} ({self.after})",
            applied=applied,
            note="; ".join(notes),
            deployed=deployed,
            revision=own.number,
            reason=reason,
        )

    def _reason(self, own: HelmRevision) -> str:
        late = "context deadline exceeded" in own.description
        why = f"not ready within {self.timeout.total_seconds():g} s" if late else " ".join(own.description.split())
        return "; ".join(filter(None, [self.systems.pods.trouble(self.namespace, self.release), why]))


def _interrupted(own: HelmRevision) -> bool:
    """Whether a revision of ours is unfinished because whoever made it was ended, or lost the cluster."""
    return own.pending or (own.status == "failed" and helm_cli.passing(own.description))
