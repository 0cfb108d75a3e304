"""What every procedure stands on: it begins, takes alerts, and knows what it did before a reset.

A procedure derives from `Runbook`, implements its own `run`, and reads like the runbook's page: what the platform
needs (effect keys, summaries, timeline, degraded backends, search attributes) happens here and in what `Runbook`
derives from: `Reporting` tells, `Steps` does, `Asking` asks.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from temporalio import workflow
from temporalio.common import VersioningBehavior

from activities.catalogue.lookup import Catalogue, ResolveService
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import fitted
from activities.monitoring.resets import DoneBeforeRequest, Resets
from activities.records.alerts import EPISODES_KEPT, Alert
from workflows.platform import policies, search_attributes
from workflows.platform.asking import Asking
from workflows.platform.lookups import looked_up
from workflows.platform.requests import RunbookRequest, ServiceRequest
from workflows.platform.signing import STARTED, STARTERS

if TYPE_CHECKING:
    from activities.common.effects import Change

_TOLD_BEFORE, _MOST_TOLD_BEFORE = 300, 30
"""How long each effect of before a reset is told, and how many of them: a run may have done hundreds."""

NOBODY_TOLD = "not told"
"""Stands for who started a run that nobody's name came with."""


class Runbook(Asking):
    """Base of every procedure. Subclasses set `SECTION`, and call `begin` first in `run`."""

    VERSIONING: ClassVar[VersioningBehavior] = VersioningBehavior.PINNED
    """Under Worker Versioning a run ends with the version that it began with. What may take days moves on to the
    current one, so that no old version has to be kept for it: its changes stand behind `workflow.patched`."""
    NEEDS_ITS_PAST: ClassVar[bool] = False
    """Whether a run that was reset must know what it had done: what it would do again can't be taken back."""

    def __init__(self) -> None:
        super().__init__()
        self.looks_at_windows = False
        self._episodes: list[str] = []
        self._taken: set[str] = set()
        self.done_before: dict[str, Change] = {}
        """What this run had done before somebody reset it: name of the effect → its change."""
        self.begun_before: set[str] = set()
        """The same with what it had only begun."""

    # -- beginning ---------------------------------------------------------------------------------------

    async def begin(self, request: RunbookRequest, *, title: str, service: str | None, severity: str = "") -> Service:
        """Pin settings for the named service and make the run findable.

        Raises:
            InvalidInput: the catalogue doesn't have the service; lists those it has.

        """
        if not workflow.info().workflow_id.isprintable():
            raise InvalidInput(
                "the workflow ID has control characters, which records can't keep: start it under another"
            )
        self.title = title
        # Those that earlier runs of this ID took are not this run's, but the next one must know of them too.
        self._episodes = _memo("episodes", list[str]) or []
        self.dry_run = request.dry_run
        self.actor = request.requested_by or NOBODY_TOLD
        resolved = await looked_up(Catalogue.resolve, ResolveService(service=service), "Pin the service's settings")
        if isinstance(request, ServiceRequest) and request.alert is not None:
            self.took(request.alert)
        self.service = resolved.service
        self.looks_at_windows = resolved.windows
        self.pinned = resolved
        self.approvals.policy = resolved.approvals
        self.approvals.started_by(
            request.requested_by, _memo(STARTED, dict[str, Any]), _memo(STARTERS, list[str]) or []
        )
        workflow.upsert_memo({"runbook": {"section": self.SECTION, "title": title}})
        self.severity = severity
        self.mark(
            search_attributes.PROCEDURE.value_set(workflow.info().workflow_type),
            search_attributes.SERVICE.value_set(resolved.service.name),
            *([search_attributes.SEVERITY.value_set(severity)] if severity else []),
        )
        await self._look_back()
        return resolved.service

    async def _look_back(self) -> None:
        """Read what this run did before somebody reset it, and say so: times go on counting, and nothing is done twice.

        What decides by it asks `done_before`; without it a run goes on by what it finds, if that can do no harm.

        Raises:
            Refused: it can't be read, and this procedure needs it. Nothing has been done.

        """
        if not (was_reset() and workflow.patched("done-before-reset")):
            return
        found = await self.attempt(
            self.SECTION, "Done before the reset", Resets.done, DoneBeforeRequest(), policies.READ
        )
        if found is None:
            unread = "This run was reset, and what it had done before can't be read"
            if self.NEEDS_ITS_PAST:
                raise Refused(f"{unread}: nothing was done. Look at the target, and start a new run")
            self.say("problem", unread)
            return
        self.done_before = {key.rpartition("/")[2]: change for key, change in found.changes.items()}
        self.begun_before = {key.rpartition("/")[2] for key in found.begun}
        self.clocks.before = found.deadlines
        told = [fitted(str(change), _TOLD_BEFORE) for change in self.done_before.values()][-_MOST_TOLD_BEFORE:]
        had = f"had done, and does not do again: {'; '.join(told)}" if told else "had done nothing outside"
        self.say("decision", f"This run was reset, and {had}")

    # -- alerts ------------------------------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take the alert firing again, or resolving; a procedure that acts on it overrides this."""
        await workflow.wait_condition(lambda: self.service is not None)
        if alert.status == "resolved":
            self.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
        elif not self.has_taken(alert):
            self.say("signal", f"{alert.name} fires again: this run has it already")
            self.took(alert)

    @workflow.signal(
        name="alerts",
        description="Firings and their ends that one post has for this run, in order, from the webhook.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alerts(self, alerts: list[Alert]) -> None:
        """Take each of them, one after another."""
        for alert in alerts:
            await self.alert(alert)

    def took(self, *alerts: Alert) -> None:
        """Remember firings where the webhook finds them, also after the run has closed."""
        episodes = list(dict.fromkeys(alert.episode for alert in alerts))
        self._taken.update(episodes)
        if unknown := [episode for episode in episodes if episode not in self._episodes]:
            self._episodes = [*self._episodes, *unknown][-EPISODES_KEPT:]
            workflow.upsert_memo({"episodes": self._episodes})

    def has_taken(self, alert: Alert) -> bool:
        """Tell whether this run took a firing."""
        return alert.episode in self._taken

    @property
    def handed_on(self) -> dict[str, Any]:
        """Give the memo of a run that goes on under the same ID."""
        started = _memo(STARTED, dict[str, Any])
        return {"episodes": self._episodes, **self.began, **({STARTED: started} if started else {})}

    @property
    def began(self) -> dict[str, Any]:
        """Give the memo of a run that this one starts: who began it all is not one of two people there either."""
        return {STARTERS: sorted(self.approvals.starters)} if self.approvals.starters else {}


def was_reset() -> bool:
    """Tell whether somebody has reset this run: it begins again, and what it did is done."""
    info = workflow.info()
    if info.original_execution_run_id not in {"", info.run_id}:
        return True
    # Where a history is replayed without its server (`tests.replay.live`), the original is taken for the run's own ID.
    return info.continued_run_id is None and info.first_execution_run_id not in {"", info.run_id}


def _memo(name: str, hint: Any) -> Any:
    """Give a memo of ours; None where there is none, or where whoever started the run has put something else there."""
    try:
        return workflow.memo_value(name, None, type_hint=hint)
    except Exception:  # noqa: BLE001  whatever it is, the run must not stick
        return None
