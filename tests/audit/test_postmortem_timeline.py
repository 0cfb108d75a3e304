"""Lines of the timeline are in the order of time."""

import re

from audit.postmortem import Material
from tests.audit.postmortems import recorded, written


def test_lines_of_the_timeline_are_in_the_order_of_time() -> None:
    told = recorded("p1_incident-asked")
    times = re.findall(
        r"^- (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", written(Material("i", [told]))["timeline"], re.MULTILINE
    )
    assert len(times) >= 50
    assert times == sorted(times)
