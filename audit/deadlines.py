"""Where deadlines stand, by what a run has said of them: `workflows.platform.clocks` writes it down."""

import re
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel

_REACHED = re.compile(r"(?P<name>.+) after [\d.]+ s(?: \(late\))?")
_LOST = re.compile(r"(?P<name>.+) lost at [\d.]+ s: .+")
_MISSED = re.compile(r"(?P<name>.+): deadline of [\d:]+(?: UTC)? missed")


class Stood(BaseModel):
    """One deadline, as the run had said last."""

    met_at: datetime | None = None
    lost_at: datetime | None = None
    """When what it stands for was lost; it was due anew from then on."""
    missed_at: datetime | None = None


def stood(told: Iterable[tuple[datetime, str]]) -> dict[str, Stood]:
    """Read the lines in their order, each with its time; one may be reached, lost, and reached again."""
    found: dict[str, Stood] = {}
    for at, text in told:
        if match := _REACHED.fullmatch(text):
            # "Well again" is a name; of one that was lost the same word says that it was reached once more.
            once_more = match["name"].removesuffix(" again")
            name = once_more if once_more in found and found[once_more].lost_at else match["name"]
            one = found.setdefault(name, Stood())
            one.met_at = one.met_at or at
        elif match := _LOST.fullmatch(text):
            found[match["name"]] = Stood(lost_at=at)
        elif match := _MISSED.fullmatch(text):
            found.setdefault(match["name"], Stood()).missed_at = at
    return found
