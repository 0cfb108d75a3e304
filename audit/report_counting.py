"""Counts stories into a report, one at a time: a hundred thousand take no more room than their durations."""

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from audit.report import (
    Approvals,
    DeadlineRow,
    IncidentRow,
    LeaseRow,
    Month,
    OutcomeRow,
    Report,
    RoleRow,
    SeverityRow,
    Spread,
    SystemRow,
)
from audit.report_reading import deadlines, is_incident, leases, reached, resolved_at, role_of
from audit.story import Question, Story

CHARTED = 100

RespondBy = Callable[[Story], datetime | None]
"""Until when 2.1 wants a response to a story's incident; None where it says nothing."""


class _Incidents:
    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.durations: dict[str, array[float]] = defaultdict(lambda: array("d"))


class Counting:
    """A report in the making."""

    def __init__(
        self,
        month: Month,
        as_of: datetime,
        respond_by: RespondBy,
        targets: dict[str, timedelta | None],
        drills: Collection[str] = (),
    ) -> None:
        """`drills` are services to practise on."""
        self._drills = frozenset(drills)
        self._month, self._as_of, self._respond_by, self._targets = month, as_of, respond_by, targets
        self._runs = self._unreadable = 0
        self._severities: dict[str, _Incidents] = defaultdict(_Incidents)
        self._seen: dict[int, int] = {}
        """Incident → the run that it was counted by."""

        self._added: set[int] = set()
        self._superseded: set[int] = set()
        self._goes_on: dict[int, Story] = {}
        """Of runs that were reset: the one that went on last."""
        self._longest: list[tuple[float, int, IncidentRow]] = []
        self._deadlines: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._questions: Counter[str] = Counter()
        self._delays: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self._systems: dict[str, Counter[str]] = defaultdict(Counter)
        self._leases: dict[str, Counter[str]] = defaultdict(Counter)
        self._lasted: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._planned: Counter[tuple[str, str]] = Counter()
        self._drilled: Counter[tuple[str, str]] = Counter()

    def add(self, story: Story) -> None:
        """Count a story; one that began in another month is none of this report's."""
        if not self._month.since <= story.started_at < self._month.until:
            return
        ended = (story.run.workflow_type, story.outcome or story.status)
        if story.dry_run:
            self._planned[ended] += 1
            return
        if story.service in self._drills:
            self._drilled[ended] += 1
            return
        self._runs += 1
        self._unreadable += bool(story.unreadable)
        self._outcomes[ended] += 1
        if _mark(story) not in self._superseded:
            self._added.add(_mark(story))
            self._count(story, 1)

    def supersedes(self, story: Story, by: Story | None = None) -> None:
        """Leave a run that somebody has reset out: the one that goes on for it tells what it had reached and done.

        Both are runs, each with its outcome; all else of them is one. It may have been added before. Reset twice, from
        wherever, a run goes on several times: what went on last counts.
        """
        mark = _mark(story)
        if mark in self._added and mark not in self._superseded:
            self._count(story, -1)
        self._superseded.add(mark)
        if by is not None:
            # A reset copies the beginning, with its time.
            began = hash((by.namespace, by.run.workflow_id, by.started_at))
            earlier, later = sorted((self._goes_on.get(began, by), by), key=_end)
            self._goes_on[began] = later
            if earlier.run.run_id != later.run.run_id:
                self.supersedes(earlier)

    def _count(self, story: Story, times: Literal[1, -1]) -> None:
        for name, how in deadlines(story):
            self._deadlines[story.run.workflow_type, name][how] += times
        for question in story.questions:
            self._question(question, times)
        for step in story.steps:
            system = self._systems[step.activity.partition(".")[0]]
            system["steps"] += times
            system["retries"] += times * max(step.attempts - 1, 0)
            system["failed"] += times * (step.outcome in {"failed", "timed out"})
        for lease in leases(story):
            row = self._leases[lease.name]
            row["held"] += times
            row["extended"] += times * lease.extended
            row[lease.end] += times
            if lease.ended_at:
                _lasted(self._lasted[lease.name], lease.ended_at - lease.began_at, times)
        if is_incident(story):
            self._incident(story, times)

    def _question(self, question: Question, times: Literal[1, -1]) -> None:
        self._questions["asked"] += times
        self._questions["escalated"] += times * (question.escalated_at is not None)
        role = role_of(question)
        if role is not None:
            self._questions["answered"] += times
            if question.delay is not None:
                _lasted(self._delays[role], question.delay, times)
        elif question.by:
            self._questions["by_events" if question.by == "events" else "unanswered"] += times
        else:
            self._questions["open"] += times

    def _incident(self, story: Story, times: Literal[1, -1]) -> None:
        mark = hash((story.namespace, story.incident_id))
        if times == 1 and mark in self._seen:
            return
        if times == -1:
            if self._seen.get(mark) != _mark(story):
                return
            del self._seen[mark]
            self._longest = [one for one in self._longest if one[2].run_id != story.run.run_id]
            heapq.heapify(self._longest)
        else:
            self._seen[mark] = _mark(story)
        counts = self._severities[story.severity]
        met, due, resolved = reached(story), self._respond_by(story), resolved_at(story)
        acknowledged, mitigated = met.get("Acknowledged"), met.get("Mitigated")
        counts.numbers["incidents"] += times
        counts.numbers["running"] += times * (story.ended_at is None)
        counts.numbers[self._response(story, acknowledged, due)] += times
        if mitigated is not None:
            counts.numbers["mitigated"] += times
            counts.numbers["automatic"] += times * (not any(word.at <= mitigated for word in story.words))
        took = {
            name: at - story.started_at if at else None
            for name, at in (("acknowledged", acknowledged), ("mitigated", mitigated), ("resolved", resolved))
        }
        for name, lasting in took.items():
            if lasting is not None:
                _lasted(counts.durations[name], lasting, times)
        if times == -1:
            return
        row = IncidentRow(
            incident_id=story.incident_id,
            severity=story.severity,
            service=story.service,
            workflow_id=story.run.workflow_id,
            run_id=story.run.run_id,
            started_at=story.started_at,
            due_at=due,
            **took,
        )
        length = ((story.ended_at or self._as_of) - story.started_at).total_seconds()
        add = heapq.heappush if len(self._longest) < CHARTED else heapq.heappushpop
        add(self._longest, (length, len(self._seen), row))

    def _response(self, story: Story, acknowledged: datetime | None, due: datetime | None) -> str:
        if due is None:
            return "open"
        if acknowledged is not None:
            return "kept" if acknowledged <= due else "missed"
        return "missed" if (story.ended_at or self._as_of) > due else "open"

    def report(self) -> Report:
        """Sum up what was counted so far."""
        return Report(
            month=self._month,
            as_of=self._as_of,
            runs=self._runs,
            unreadable=self._unreadable,
            severities=[self._severity(name) for name in sorted(self._severities)],
            deadlines=[
                DeadlineRow(procedure=procedure, name=name, **_named(row, "kept", "missed", "open"))
                for (procedure, name), row in sorted(self._deadlines.items())
            ],
            approvals=self._approvals(),
            systems=[
                SystemRow(system=name, **_named(row, "steps", "retries", "failed"))
                for name, row in sorted(self._systems.items())
            ],
            leases=[
                LeaseRow(
                    name=name,
                    **_named(row, "held", "extended", "expired", "by_person", "by_failure", "open"),
                    lasted=Spread.of(self._lasted[name]),
                )
                for name, row in sorted(self._leases.items())
            ],
            outcomes=_outcomes(self._outcomes),
            planned=_outcomes(self._planned),
            drilled=_outcomes(self._drilled),
            incidents=sorted((row for _, _, row in self._longest), key=lambda row: (row.started_at, row.run_id)),
            left_out=len(self._seen) - len(self._longest),
        )

    def _severity(self, name: str) -> SeverityRow:
        counts = self._severities[name]
        return SeverityRow(
            severity=name,
            target=self._targets.get(name),
            **_named(counts.numbers, "incidents", "running", "kept", "missed", "open", "mitigated", "automatic"),
            acknowledge=Spread.of(counts.durations["acknowledged"]),
            mitigate=Spread.of(counts.durations["mitigated"]),
            resolve=Spread.of(counts.durations["resolved"]),
        )

    def _approvals(self) -> Approvals:
        together = array("d")
        for delays in self._delays.values():
            together.extend(delays)
        return Approvals(
            **_named(self._questions, "asked", "answered", "by_events", "unanswered", "open", "escalated"),
            delay=Spread.of(together),
            roles=[
                RoleRow(role=role, answered=len(delays), delay=Spread.of(delays))
                for role, delays in sorted(self._delays.items())
            ],
        )


def count(stories: Iterable[Story], counting: Counting) -> Report:
    """Count stories that are all at hand or come one by one."""
    for story in stories:
        counting.add(story)
    return counting.report()


def _mark(story: Story) -> int:
    return hash((story.namespace, story.run.run_id))


def _end(story: Story) -> datetime:
    return story.ended_at or datetime.max.replace(tzinfo=UTC)


def _lasted(known: "array[float]", lasting: timedelta, times: Literal[1, -1]) -> None:
    (known.append if times == 1 else known.remove)(lasting.total_seconds())


def _named(row: Counter[str], *names: str) -> dict[str, int]:
    return {name: row[name] for name in names}


def _outcomes(counted: Counter[tuple[str, str]]) -> list[OutcomeRow]:
    return [
        OutcomeRow(procedure=procedure, outcome=outcome, runs=runs)
        for (procedure, outcome), runs in sorted(counted.items())
    ]
