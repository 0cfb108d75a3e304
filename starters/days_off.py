"""Days on which nobody works: of a country, by the library `holidays`, and of a calendar file of one's own."""

from datetime import date, datetime, timedelta
from pathlib import Path

from activities.catalogue.daily import DailyPolicy
from starters.local_times import YEARS
from workers.settings import SettingsError


def days_off(policy: DailyPolicy, directory: Path, today: date, section: str) -> frozenset[date]:
    """Give those of this year and of the years that schedules are made for.

    `section` is what the settings call the policy, for the sentence.

    Raises:
        SettingsError: there is no such country, or the file can't be read.

    """
    found: set[date] = set()
    if policy.holidays:
        found |= _of_country(policy.holidays, today, section)
    if policy.calendar:
        found |= _of_file(directory / policy.calendar, today, section)
    return frozenset(found)


def _of_country(name: str, today: date, section: str) -> set[date]:
    import holidays  # noqa: PLC0415  most commands have no use for it

    country, _, part = name.partition("-")
    years = range(today.year, today.year + YEARS + 1)
    try:
        return set(holidays.country_holidays(country, subdiv=part or None, years=years))
    except NotImplementedError:
        raise SettingsError(
            f"{section}.holidays: {name} is not known to the library `holidays`; calendar names a file instead"
        ) from None


def _of_file(file: Path, today: date, section: str) -> set[date]:
    import icalendar  # noqa: PLC0415
    import recurring_ical_events  # noqa: PLC0415

    try:
        calendar = icalendar.Calendar.from_ical(file.read_bytes())
        begin, end = date(today.year, 1, 1), date(today.year + YEARS + 1, 1, 1)
        events = recurring_ical_events.of(calendar).between(begin, end)
    except OSError as error:
        raise SettingsError(f"{section}.calendar: {file}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{section}.calendar: {file}: {error}") from None
    found: set[date] = set()
    for event in events:
        if isinstance(event.start, datetime):  # an hour in the afternoon makes no day off
            continue
        length = max((event.end - event.start).days, 1)
        found.update(event.start + timedelta(days=number) for number in range(length))
    return found
