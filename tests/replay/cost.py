"""`python -m tests.replay.cost`: write the table of what recorded runs cost, as they are now.

Temporal keeps each event for the namespace's retention, loads all of them when a worker takes a run up, and ends a run
at 51,200 events or 50 MB; the archive keeps them for years. So what a run writes grows only when somebody means it: a
test compares the recorded histories with the table.
"""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import tomli_w
from temporalio.client import WorkflowHistory

HISTORIES = Path(__file__).parents[1] / "histories"
TABLE = Path(__file__).with_suffix(".toml")

_ROOM = 0.02
"""What bytes may differ by: a run recorded anew has other IDs and times, of a little more or less text."""


@dataclass(frozen=True)
class Cost:
    """What one run leaves in Temporal; bytes are those of its events as the server keeps them."""

    events: int
    bytes: int


def read(name: str, directory: Path = HISTORIES) -> WorkflowHistory:
    """Read a recorded history."""
    return WorkflowHistory.from_json(name, (directory / f"{name}.json").read_text(encoding="utf-8"))


def recorded(directory: Path = HISTORIES) -> dict[str, Cost]:
    """Measure all recorded histories."""
    names = sorted(file.stem for file in directory.glob("*.json"))
    histories = {name: read(name, directory) for name in names}
    return {
        name: Cost(len(history.events), sum(event.ByteSize() for event in history.events))
        for name, history in histories.items()
    }


def table() -> dict[str, Cost]:
    """Read what they are known to cost."""
    return {name: Cost(**cost) for name, cost in tomllib.loads(TABLE.read_text(encoding="utf-8")).items()}


def changes(known: dict[str, Cost], found: dict[str, Cost]) -> list[str]:
    """Say in sentences what costs more than is known, or less."""
    said = [f"{name} is not in the table" for name in found.keys() - known.keys()]
    said += [f"{name} is in the table and has no recorded history" for name in known.keys() - found.keys()]
    for name in known.keys() & found.keys():
        before, now = known[name], found[name]
        if now.events != before.events or abs(now.bytes - before.bytes) > _ROOM * before.bytes:
            grew = (now.events, now.bytes) > (before.events, before.bytes)
            said.append(
                f"{name} has {'grown' if grew else 'shrunk'} from {before.events:,} events of {before.bytes:,} bytes "
                f"to {now.events:,} of {now.bytes:,}"
            )
    return sorted(said)


if __name__ == "__main__":
    costs = {name: asdict(cost) for name, cost in recorded().items()}
    note = "# Written by `python -m tests.replay.cost`: what grows here is paid for with every run.\n\n"
    TABLE.write_text(note + tomli_w.dumps(costs), encoding="utf-8")
