"""Days off are a country's and a file's, and what can't be read is said."""

from datetime import date
from pathlib import Path

import pytest

from activities.catalogue.daily import DailyPolicy
from starters.days_off import days_off
from workers.settings import SettingsError

COMPANY = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:tests
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20271227
DTEND;VALUE=DATE:20271231
SUMMARY:Between the years
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20250604
RRULE:FREQ=YEARLY
SUMMARY:Founding day
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20270603T140000Z
DTEND:20270603T150000Z
SUMMARY:A meeting
END:VEVENT
END:VCALENDAR
"""


def test_days_off_are_a_countrys_and_a_files(tmp_path: Path) -> None:
    (tmp_path / "company.ics").write_text(COMPANY.replace("\n", "\r\n"), encoding="utf-8")
    policy = DailyPolicy(holidays="DE-BE", calendar="company.ics")
    found = days_off(policy, tmp_path, date(2026, 11, 29), "daily")
    of_2027 = {day for day in found if day.year == 2027}
    assert {date(2027, 3, 8), date(2027, 3, 26), date(2027, 6, 4), date(2027, 12, 27), date(2027, 12, 30)} <= of_2027
    assert {date(2027, 12, 31), date(2027, 6, 3), date(2027, 11, 2)}.isdisjoint(of_2027)
    assert {date(2028, 6, 4), date(2031, 6, 4)} <= found


@pytest.mark.parametrize(
    ("daily", "sentence"),
    [
        ({"holidays": "XX"}, "services.a.daily.holidays: XX is not known"),
        ({"holidays": "DE-QQ"}, "services.a.daily.holidays: DE-QQ is not known"),
        ({"calendar": "nowhere.ics"}, "nowhere.ics: No such file or directory"),
        ({"calendar": "broken.ics"}, "broken.ics: "),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, daily: dict[str, str], sentence: str) -> None:
    (tmp_path / "broken.ics").write_text("nothing of the kind", encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence):
        days_off(DailyPolicy(**daily), tmp_path, date(2026, 11, 29), "services.a.daily")
