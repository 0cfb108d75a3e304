"""What a month of runs was like, in numbers: what is reported, and what each number means.

`audit.report_counting` makes it from stories, one after the other. Medians are the usual ones (the mean of the two in
the middle); a 90th percentile is the nearest rank: nine of ten took that long or less, and somebody really did.
"""

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

_DECEMBER = 12


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _clock(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no time zone: give one such as UTC or Europe/Berlin") from None


class Month(_Part):
    """A month of a time zone's calendar."""

    name: str = Field(description="For example `2026-11`.")
    zone: str
    since: datetime
    until: datetime = Field(description="The first moment that is no longer in it.")

    @classmethod
    def of(cls, name: str, zone: str = "UTC") -> Self:
        """Read `2026-11`.

        Raises:
            ValueError: it is no month, or there is no such zone; says what would be one.

        """
        clock = _clock(zone)
        try:
            first = datetime.strptime(name, "%Y-%m").replace(tzinfo=clock)
            over, month = divmod(first.month, _DECEMBER)
            after = first.replace(year=first.year + over, month=month + 1)
        except ValueError:
            raise ValueError(f"{name!r} is no month: give year and month, such as 2026-11") from None
        return cls(name=f"{first:%Y-%m}", zone=zone, since=first.astimezone(UTC), until=after.astimezone(UTC))

    @classmethod
    def at(cls, moment: datetime, zone: str = "UTC") -> Self:
        """Give the month that a moment is in.

        Raises:
            ValueError: there is no such zone.

        """
        return cls.of(f"{moment.astimezone(_clock(zone)):%Y-%m}", zone)


class Spread(_Part):
    """How long something took."""

    count: int
    median: timedelta
    p90: timedelta
    longest: timedelta

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self | None:
        """Sum up; None where there is nothing."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        p90 = ordered[math.ceil(len(ordered) * 9 / 10) - 1]
        return cls(
            count=len(ordered),
            median=timedelta(seconds=statistics.median(ordered)),
            p90=timedelta(seconds=p90),
            longest=timedelta(seconds=ordered[-1]),
        )


class SeverityRow(_Part):
    """The incidents of one severity."""

    severity: str
    incidents: int
    running: int
    target: timedelta | None = Field(description="Response time of 2.1; null: the next business day, or none known.")
    kept: int = Field(description="Acknowledged within the response time of 2.1.")
    missed: int = Field(description="Acknowledged later, or not at all.")
    open: int = Field(description="Not acknowledged and not due, when the run ended or the report was made.")
    acknowledge: Spread | None
    mitigate: Spread | None
    resolve: Spread | None = Field(description="From the alert to the run's end, of those that were not cancelled.")
    mitigated: int
    automatic: int = Field(description="Of the mitigated: nobody had said a word before.")


class DeadlineRow(_Part):
    """One deadline of one procedure."""

    procedure: str
    name: str
    kept: int
    missed: int
    open: int = Field(description="The run ended before either, or is running.")


class RoleRow(_Part):
    """Who answered."""

    role: str
    answered: int
    delay: Spread | None


class Approvals(_Part):
    """The questions that runs asked people."""

    asked: int = 0
    answered: int = Field(default=0, description="By a person.")
    by_events: int = Field(default=0, description="Events answered before anybody did.")
    unanswered: int = Field(default=0, description="Nobody did; the procedure's safe default was taken.")
    open: int = 0
    escalated: int = 0
    delay: Spread | None = Field(default=None, description="Of what people answered.")
    roles: list[RoleRow] = []


class SystemRow(_Part):
    """How an outside system did: the part of an activity's name before the dot."""

    system: str
    steps: int
    retries: int = Field(description="Attempts after a step's first.")
    failed: int = Field(description="Steps that failed or timed out for good.")


class LeaseRow(_Part):
    """What was held for a time."""

    name: str
    held: int
    extended: int = Field(description="How often an end was moved.")
    expired: int
    by_person: int = Field(description="Ended early by somebody.")
    by_failure: int = Field(description="Ended because the run failed, was cancelled or otherwise ended.")
    open: int
    lasted: Spread | None


class OutcomeRow(_Part):
    """How the runs of a procedure ended."""

    procedure: str
    outcome: str = Field(description="The procedure's own word, or else Temporal's.")
    runs: int


class IncidentRow(_Part):
    """One incident, for the chart."""

    incident_id: str
    severity: str
    service: str
    workflow_id: str
    run_id: str
    started_at: datetime
    due_at: datetime | None = Field(description="By the response times of 2.1.")
    acknowledged: timedelta | None
    mitigated: timedelta | None
    resolved: timedelta | None


class Report(_Part):
    """A month of runs: those that started in it."""

    month: Month
    as_of: datetime
    runs: int = Field(description="Without those in plan mode, and without drills.")
    unreadable: int = Field(description="Runs of which something could not be read (encrypted, redacted).")
    severities: list[SeverityRow]
    deadlines: list[DeadlineRow]
    approvals: Approvals
    systems: list[SystemRow]
    leases: list[LeaseRow]
    outcomes: list[OutcomeRow]
    planned: list[OutcomeRow] = Field(description="Plan-mode runs; they are in no other number.")
    drilled: list[OutcomeRow] = Field(description="Runs of services to practise on; they are in no other number.")
    incidents: list[IncidentRow] = Field(description="The longest, in the order they began.")
    left_out: int = Field(description="Incidents that are counted, but not among `incidents`.")

    @property
    def automation(self) -> float | None:
        """Share of the mitigated incidents that were mitigated without a human; None where there were none."""
        mitigated = sum(row.mitigated for row in self.severities)
        return sum(row.automatic for row in self.severities) / mitigated if mitigated else None
