"""From alerts to runs: started once an episode, joined by whatever belongs to it.

The workflow ID is the trouble (procedure and service, see `starters.steering.grouping`), so Temporal itself sees to it
that one run handles it at a time: starting and telling are one request (signal-with-start), and concurrent posts meet
in the same run. What one post has for a run goes there as one signal, in order, so that a firing and its end don't
race. A run keeps in its memo which firings were taken under its ID, by itself and by those before it, so that a
repetition which arrives after it has closed starts nothing; only then is there a second request. Any number of
webhooks may run: nothing is kept here but which firings this one was lately told are over.
"""

import asyncio
import functools
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError
from temporalio.api.workflowservice.v1 import SignalWithStartWorkflowExecutionResponse
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.catalogue.service import Service
from activities.common.severity import Severity
from activities.monitoring.runs import dealt_with
from activities.records.alerts import EPISODES_KEPT, Alert
from starters.steering.deciding import Routed, Unrouted, decide
from starters.steering.priority import priority
from starters.steering.routes import Routes
from starters.webhook import summary
from starters.webhook.bounded import MOST, bounded, size
from starters.webhook.worst_first import rank
from workers.settings import explain
from workflows.platform import search_attributes

Outcome = Literal["started", "joined", "resolved", "already_handled", "unrouted", "invalid", "unavailable"]

_ACCEPTED_WITHIN = timedelta(seconds=5)
_AT_ONCE = 50
"""Runs that Temporal is told of at the same time for one post: more would only wait there, and time out."""
_A_SIGNAL, _A_SIGNALS_BYTES = 100, 1_048_576
"""Alerts in one, and their bytes: Temporal takes 2 MB of a signal, and 4 MB of a request."""
_OVER_FOR = timedelta(hours=1)
_OVER_MOST = 10_000


@dataclass(frozen=True)
class Taken:
    """What became of one alert."""

    outcome: Outcome
    workflow_id: str = ""
    run_id: str = ""
    detail: str = ""


class Over:
    """Firings that have ended, as this webhook was told lately: a post of theirs that comes late begins nothing."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, float] = OrderedDict()
        self._ended: dict[str, datetime] = {}
        """When an alert was last told to be over, by sources that don't tell which firing that ends."""

    def add(self, alert: Alert) -> None:
        """Remember the end of a firing; the oldest are forgotten."""
        self._since[alert.episode] = time.monotonic()
        self._since.move_to_end(alert.episode)
        if alert.of_whichever:
            if len(self._ended) >= _OVER_MOST:
                self._ended.clear()
            named = f"{alert.source}\0{alert.fingerprint}"
            self._ended[named] = max(alert.starts_at, self._ended.get(named, alert.starts_at))
        while len(self._since) > _OVER_MOST:
            self._since.popitem(last=False)

    def __contains__(self, alert: Alert) -> bool:
        ended = self._ended.get(f"{alert.source}\0{alert.fingerprint}")
        if ended is not None and not alert.key and alert.starts_at <= ended:
            return True
        since = self._since.get(alert.episode)
        return since is not None and time.monotonic() - since < _OVER_FOR.total_seconds()


class Intake:
    """Starts and joins the runs of alerts."""

    def __init__(self, client: Client, routes: Routes, task_queue: str, services: Mapping[str, Service]) -> None:
        self._client = client
        self._routes = routes
        self._task_queue = task_queue
        self._services = services
        self._over = Over()

    async def take(self, alerts: Sequence[Alert]) -> list[Taken]:
        """Start or join the runs of one post's alerts, all runs at once; gives what became of each, in their order.

        `unavailable` when Temporal doesn't accept an alert within five seconds.
        """
        taken: dict[int, Taken] = {}
        runs: dict[str, dict[int, Routed]] = defaultdict(dict)
        for number, alert in enumerate(alerts):
            routed = self._routed(alert)
            if isinstance(routed, Taken):
                taken[number] = routed
            else:
                runs[routed.workflow_id][number] = routed
        if len(runs) == 1:  # as in nearly every post: nothing is to be done side by side
            ((workflow_id, one),) = runs.items()
            taken |= await self._tell(workflow_id, one)
            return [taken[number] for number in range(len(alerts))]
        room = asyncio.Semaphore(_AT_ONCE)

        async def tell(workflow_id: str, routed: dict[int, Routed]) -> dict[int, Taken]:
            async with room:
                return await self._tell(workflow_id, routed)

        for told in await asyncio.gather(*(tell(workflow_id, one) for workflow_id, one in runs.items())):
            taken |= told
        return [taken[number] for number in range(len(alerts))]

    def rank(self, alert: Any) -> int:
        """Give how bad a raw alert is: 0 is worst."""
        return rank(alert, self._routes)

    def _routed(self, alert: Alert) -> Routed | Taken:
        decided = decide(alert, self._routes, self._services)
        if isinstance(decided, Unrouted):
            return Taken("unrouted", detail=decided.why)
        return replace(decided, alert=bounded(alert, decided.route.input_labels.values()))

    async def _tell(self, workflow_id: str, routed: dict[int, Routed]) -> dict[int, Taken]:
        """Tell one run of its alerts, in the order in which they began; starts it where one of them fires."""
        taken: dict[int, Taken] = {}
        telling: dict[int, Routed] = {}
        over: set[str] = set()
        for number, one in sorted(routed.items(), key=lambda item: item[1].alert.starts_at):
            if one.alert.status == "resolved":
                over.add(one.alert.episode)
            elif (over and one.alert.episode in over) or one.alert in self._over:
                taken[number] = Taken("already_handled", workflow_id, detail="this firing has resolved already")
                continue
            telling[number] = one
        try:
            async with asyncio.timeout(_ACCEPTED_WITHIN.total_seconds()):
                told = await self._told(workflow_id, telling)
        except ValidationError as error:
            failed = Taken("invalid", workflow_id, detail=explain(error))
        except RPCError as error:
            # Its message can quote the request.
            failed = Taken("unavailable", workflow_id, detail=f"Temporal refused: {error.status.name}")
        except (TimeoutError, RuntimeError) as error:  # the SDK's word for a first connection that fails
            failed = Taken("unavailable", workflow_id, detail=f"Temporal did not answer: {type(error).__name__}")
        else:
            for one in telling.values():
                if one.alert.status == "resolved":
                    self._over.add(one.alert)
            return taken | told
        return taken | dict.fromkeys(telling, failed)

    async def _told(self, workflow_id: str, routed: dict[int, Routed]) -> dict[int, Taken]:
        told: dict[int, Taken] = {}
        for part in _parts(routed):
            firing = any(one.alert.status == "firing" for one in part.values())
            told |= await (self._firing(workflow_id, part) if firing else self._resolved(workflow_id, part))
        return told

    async def _resolved(self, workflow_id: str, routed: dict[int, Routed]) -> dict[int, Taken]:
        detail = ""
        if routed:
            try:
                await self._client.get_workflow_handle(workflow_id).signal("alerts", _alerts(routed))
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                detail = "no run handles it any more"
        return dict.fromkeys(routed, Taken("resolved", workflow_id, detail=detail))

    async def _firing(self, workflow_id: str, routed: dict[int, Routed]) -> dict[int, Taken]:
        try:
            return await self._start(workflow_id, routed, [], WorkflowIDReusePolicy.REJECT_DUPLICATE)
        except WorkflowAlreadyStartedError:
            # A running run would have been joined, so the last one has ended. Which firings did it and others take?
            last = await self._client.get_workflow_handle(workflow_id).describe()
            before = await dealt_with(last)
            fresh = {
                number: one
                for number, one in routed.items()
                if one.alert.status == "resolved" or not _handled(one.alert, last, before)
            }
            handled = Taken("already_handled", workflow_id, last.run_id, "its run has ended")
            taken = {number: handled for number in routed if number not in fresh}
            if any(one.alert.status == "firing" for one in fresh.values()):
                return taken | await self._start(workflow_id, fresh, before, WorkflowIDReusePolicy.ALLOW_DUPLICATE)
            return taken | await self._resolved(workflow_id, fresh)

    async def _start(
        self, workflow_id: str, routed: dict[int, Routed], before: list[str], reuse: WorkflowIDReusePolicy
    ) -> dict[int, Taken]:
        firing = {number: one for number, one in routed.items() if one.alert.status == "firing"}
        # The worst leads: it says what the incident is called.
        leads = min(firing, key=lambda number: (firing[number].rank, firing[number].alert.starts_at, number))
        leader = firing[leads]
        target = leader.route.target
        episodes = [*before, *(one.alert.episode for one in routed.values())]
        handle = await self._client.start_workflow(
            target.workflow_type,
            leader.route.request(leader.alert, leader.service),
            id=workflow_id,
            task_queue=self._task_queue,
            id_reuse_policy=reuse,
            priority=priority(target, leader.service, leader.route.severity),
            start_signal="alerts",
            start_signal_args=[_alerts(routed)],
            memo={"episodes": list(dict.fromkeys(episodes))[-EPISODES_KEPT:]},
            search_attributes=_search_attributes(target.workflow_type, leader.service, leader.route.severity),
            static_summary=summary.summary(target.title, leader.alert),
            static_details=summary.details(leader.alert),
        )
        # The handle doesn't tell a run that was started from one that was joined; what Temporal answered does.
        answer: Any = handle._start_workflow_response  # noqa: SLF001
        assert isinstance(answer, SignalWithStartWorkflowExecutionResponse)

        def outcome(number: int, one: Routed) -> Outcome:
            if one.alert.status == "resolved":
                return "resolved"
            return "started" if answer.started and number == leads else "joined"

        return {number: Taken(outcome(number, one), workflow_id, answer.run_id) for number, one in routed.items()}


def _parts(telling: dict[int, Routed]) -> Iterator[dict[int, Routed]]:
    """Give what one signal can carry, the worst first; an alert and its end have one rank, and keep their order."""
    if len(telling) <= _A_SIGNALS_BYTES // MOST:  # whatever they are
        yield telling
        return
    sizes = {number: size(one.alert) for number, one in telling.items()}
    if len(telling) <= _A_SIGNAL and sum(sizes.values()) <= _A_SIGNALS_BYTES:
        yield telling
        return
    part: dict[int, Routed] = {}
    left = _A_SIGNALS_BYTES
    for number, one in sorted(telling.items(), key=lambda item: item[1].rank):
        if part and (len(part) == _A_SIGNAL or sizes[number] > left):
            yield part
            part, left = {}, _A_SIGNALS_BYTES
        part[number] = one
        left -= sizes[number]
    yield part


def _alerts(routed: dict[int, Routed]) -> list[Alert]:
    return [one.alert for one in routed.values()]


def _handled(alert: Alert, last: WorkflowExecutionDescription, episodes: list[str]) -> bool:
    """Tell whether a firing was taken already; runs from before kept its start alone, under the alert's own ID."""
    own = last.id.endswith(f"/{alert.fingerprint}") and alert.starts_at.isoformat() in episodes
    return last.status is not WorkflowExecutionStatus.RUNNING and (own or alert.episode in episodes)


@functools.lru_cache(maxsize=1000)
def _search_attributes(procedure: str, service: str, severity: Severity | None) -> TypedSearchAttributes:
    pairs = [
        SearchAttributePair(search_attributes.PROCEDURE, procedure),
        SearchAttributePair(search_attributes.SERVICE, service),
    ]
    if severity is not None:
        pairs.append(SearchAttributePair(search_attributes.SEVERITY, severity))
    return TypedSearchAttributes(pairs)
