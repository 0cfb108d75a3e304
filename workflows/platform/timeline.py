"""The run's own account of what happened: kept in the run, shown in the Temporal UI, read by the auditor."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from activities.common.text import Shown, ShownLine
from activities.common.times import Time
from audit.text import MARKS, counted, plain

Kind = Literal["phase", "step", "effect", "decision", "note", "deadline", "signal", "problem"]

_SHOWN = 60
_AT_A_GLANCE = 8
"""From so many lines on, the newest also stands on top: nobody scrolls for it."""


class Entry(BaseModel):
    """One line of the timeline."""

    at: Annotated[datetime, Time(made_fit=True)]
    kind: Kind
    phase: ShownLine = Field(description="Name of the phase it happened in.")
    section: ShownLine = Field(default="", description="Section and step of the runbook, e.g. `2.2/3`.")
    text: Shown
    who: ShownLine = Field(default="", description="The person, where one acted.")
    seconds: float | None = Field(default=None, description="How long the step took.")


class Timeline:
    """Entries in the order of their ends; grows by one line a step and is bounded only by the run's own length."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.phase = ""
        self._lines: list[str] = []

    def add(
        self, at: datetime, kind: Kind, text: str, *, section: str = "", who: str = "", seconds: float | None = None
    ) -> Entry:
        """Append an entry in the current phase."""
        entry = Entry(at=at, kind=kind, phase=self.phase, section=section, text=text, who=who, seconds=seconds)
        self.entries.append(entry)
        return entry

    def take_up(self, entries: list[Entry]) -> None:
        """Go on with the entries of the run that this one continues."""
        self.entries, self._lines = entries, []

    def markdown(self, *, shown: int | None = None) -> str:
        """Render as Markdown, the latest `shown` entries or all."""
        # Rendered with every word of the run, so each line is made once.
        self._lines.extend(_line(entry) for entry in self.entries[len(self._lines) :])
        earlier = 0 if shown is None else max(0, len(self._lines) - shown)
        told = [f"_{counted(earlier, 'earlier entry is', 'earlier entries are')} in the history._\n"] if earlier else []
        return "\n".join([*told, *self._lines[earlier:]])

    def details(self, heading: str) -> str:
        """Render for the run's current details in the UI, which are bounded in size."""
        told = self.markdown(shown=_SHOWN)
        newest = (
            f"**Newest:** {self._lines[-1].strip().removeprefix('- ')}\n\n" if len(self._lines) > _AT_A_GLANCE else ""
        )
        return f"{heading}\n\n{newest}{told}"


def _line(entry: Entry) -> str:
    text = plain(entry.text)
    if entry.kind == "phase":
        return f"\n**{entry.at:%H:%M:%S} — {text}**\n"
    section = f" `{entry.section}`" if entry.section else ""
    who = f" — {plain(entry.who)}" if entry.who else ""
    took = f" _({entry.seconds:.1f} s)_" if entry.seconds is not None and entry.seconds >= 1 else ""
    return f"- {entry.at:%H:%M:%S} {MARKS[entry.kind]}{section} {text}{who}{took}"
