"""A signature's time has a window with an edge on either side."""

from datetime import UTC, datetime, timedelta

import pytest

from starters.sources.port import Unauthentic
from starters.sources.signatures import in_time


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_the_window_has_an_edge_on_either_side(seconds: int, taken: bool) -> None:  # noqa: FBT001
    now = datetime(2026, 2, 4, 3, tzinfo=UTC)
    signed_at = str(int(now.timestamp()) + seconds)
    if taken:
        in_time(signed_at, now, timedelta(minutes=5))
        return
    with pytest.raises(Unauthentic):
        in_time(signed_at, now, timedelta(minutes=5))
