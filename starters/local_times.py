"""A clock's times as Temporal's schedules keep them, each once also on the days on which the clock is changed.

A calendar of Temporal's leaves a local time out that a day has not, and starts what is due at a doubled one twice, or
at neither, as the zone's offset has it (tried on 1.32). So on such days the hours that are missing or doubled are
taken out of the calendar, and what was due in them is given as instants:

- a time that the day has not is due when the clock has jumped over it (RFC 5545 calls it the next valid one);
- a time that comes twice is due the first time.

With a doubled hour those before and after it are taken out: where the zone is east of Greenwich, Temporal starts what
is due before it a second time an hour later, and so what is due in it, where the clock goes back by half an hour.

An instant is an interval of forty years that begins forty years before it. What is taken out is taken out to the
second, so an instant within such an hour is a second late.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from temporalio.client import ScheduleCalendarSpec, ScheduleIntervalSpec, ScheduleRange, ScheduleSpec

from activities.catalogue.base import Weekday

YEARS = 5
"""For how many years to come clock changes and days off are put into a schedule; each January there is one more."""

EVERY_DAY: tuple[Weekday, ...] = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS = EVERY_DAY  # as Temporal counts them
_ONCE = timedelta(days=40 * 365.25)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WHOLE_DAY = {"hour": [ScheduleRange(0, 23)], "minute": [ScheduleRange(0, 59)], "second": [ScheduleRange(0, 59)]}


@dataclass(frozen=True)
class LocalTimes:
    """Some weekdays, or days of some months, at some hours, in a time zone, but not on days off."""

    days: tuple[Weekday, ...]
    hours: tuple[int, ...]
    minute: int
    time_zone: str
    off: frozenset[date] = frozenset()
    months: tuple[int, ...] = ()
    """In which it is due; in all, where there are none."""

    day_of_month: int | None = None

    def spec(self, today: date) -> ScheduleSpec:
        """Give them as Temporal takes them, with the clock changes and days off of this year and of `YEARS` more."""
        calendar = ScheduleCalendarSpec(
            day_of_week=[ScheduleRange(_DAYS.index(day)) for day in self.days],
            hour=[ScheduleRange(hour) for hour in self.hours],
            minute=[ScheduleRange(self.minute)],
            month=[ScheduleRange(month) for month in self.months] or [ScheduleRange(1, 12)],
            day_of_month=[ScheduleRange(self.day_of_month or 1, self.day_of_month or 31)],
        )
        off = [day for day in sorted(self.off) if self._is_due(day) and _in_reach(day, today)]
        skip = list(_whole_days(off))
        instants: set[datetime] = set()
        for changed in _changes(ZoneInfo(self.time_zone), today):
            if changed.day in self.off or not self._is_due(changed.day) or not changed.wrong.intersection(self.hours):
                continue
            skip.append(_hours(changed.day, changed.hours))
            mine = changed.hours.intersection(self.hours)
            instants.update(changed.instants(time(hour, self.minute) for hour in mine))
        return ScheduleSpec(
            calendars=[calendar],
            skip=skip,
            time_zone_name=self.time_zone,
            intervals=[_once(instant) for instant in sorted(instants)],
        )

    def _is_due(self, day: date) -> bool:
        in_month = day.month in (self.months or (day.month,)) and day.day == (self.day_of_month or day.day)
        return in_month and _DAYS[day.isoweekday() % 7] in self.days


@dataclass(frozen=True)
class _Change:
    """A day on which the clock is changed, and the hours of it that Temporal's calendars get wrong."""

    day: date
    zone: ZoneInfo
    at: datetime
    wrong: frozenset[int]
    hours: frozenset[int]
    """Those, and what Temporal would start in place of what is due in them."""

    def instants(self, times: Iterable[time]) -> Iterator[datetime]:
        """Give when each is due."""
        for wanted in times:
            local = datetime.combine(self.day, wanted, self.zone)
            instant = local.astimezone(UTC)  # fold=0: the first of two
            if instant.astimezone(self.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
                instant = self.at
            again = instant.astimezone(self.zone)
            # Where the hour is taken out of the calendar, only another second can be in.
            yield instant + (_SECOND if again.hour in self.hours and again.date() == self.day else _SECOND * 0)


def _changes(zone: ZoneInfo, today: date) -> Iterator[_Change]:
    day, end = date(today.year, 1, 1), date(today.year + YEARS + 1, 1, 1)
    while day < end:
        begin, after = (datetime.combine(at, time(), UTC) for at in (day, day + _DAY))
        if begin.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            yield from _change(zone, begin, after)
        day += _DAY


def _change(zone: ZoneInfo, begin: datetime, after: datetime) -> Iterator[_Change]:
    """Find the minute of the change, and what local times it takes away or doubles."""
    before = begin.astimezone(zone).utcoffset()
    while after - begin > _MINUTE:
        middle = begin + (after - begin) // 2 // _MINUTE * _MINUTE
        begin, after = (middle, after) if middle.astimezone(zone).utcoffset() == before else (begin, middle)
    old, new = (after + (at.astimezone(zone).utcoffset() or timedelta(0)) for at in (begin, after))
    doubled = new < old
    wrong = _by_day(min(old, new) - _HOUR * doubled, max(old, new))
    taken = _by_day(min(old, new) - _HOUR * doubled, max(old, new) + _HOUR * doubled)
    for day, hours in wrong.items():
        yield _Change(day, zone, after, hours, taken[day])


def _by_day(begin: datetime, until: datetime) -> dict[date, frozenset[int]]:
    """Give the hours that a stretch of local time touches, each day's."""
    minutes = [begin + _MINUTE * number for number in range((until - begin) // _MINUTE)]
    return {day: frozenset(at.hour for at in found) for day, found in groupby(minutes, key=lambda at: at.date())}


def _in_reach(day: date, today: date) -> bool:
    return today.year <= day.year <= today.year + YEARS


def _whole_days(days: Iterable[date]) -> Iterator[ScheduleCalendarSpec]:
    for (year, month), found in groupby(days, key=lambda day: (day.year, day.month)):
        yield ScheduleCalendarSpec(
            year=[ScheduleRange(year)],
            month=[ScheduleRange(month)],
            day_of_month=[ScheduleRange(day.day) for day in found],
            comment="days off",
            **_WHOLE_DAY,
        )


def _hours(day: date, hours: Iterable[int]) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(
        year=[ScheduleRange(day.year)],
        month=[ScheduleRange(day.month)],
        day_of_month=[ScheduleRange(day.day)],
        hour=[ScheduleRange(hour) for hour in sorted(hours)],
        minute=[ScheduleRange(0, 59)],
        comment="clock change: see the intervals",
    )


def _once(instant: datetime) -> ScheduleIntervalSpec:
    return ScheduleIntervalSpec(every=_ONCE, offset=instant - _EPOCH - _ONCE)
