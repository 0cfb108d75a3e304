"""`python -m tests.replay.guard`: tells, before replay does, that open runs would not survive a change.

Two things are written down beside the recorded histories. `commands.toml` has what each procedure gives to Temporal,
in the order of the code. `manifest.toml` has the digest of every recorded history, and why it was recorded. What is new
and hurts nobody is written down by this command as it is; anything else needs a reason: `--because "…"`. `--check` only
looks, and is a part of `make lint`.
"""

import difflib
import hashlib
import sys
import tomllib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import tomli_w

from docs.steps import Workflows
from tests.replay.commands import Commands, Reader, without_new_patches

HISTORIES = Path(__file__).parents[1] / "histories"
COMMANDS = HISTORIES / "commands.toml"
MANIFEST = HISTORIES / "manifest.toml"
UPGRADING = Path(__file__).parents[2] / "docs" / "upgrading.md"
FIRST = "first recorded"
WRITE = "python -m tests.replay.guard"

WHY = """\
Why it matters: a run that is open is taken up by replaying its history on the new code. That has to give the same
commands in the same order. A run that gets others is stuck until somebody resets it: an incident in the middle of the
night, an onboarding after weeks. Replay finds it only on the ways that were recorded."""

COMMANDS_TODO = f"""\
What to do, the first that fits:
  1. Runs from before may be open. Put what is new behind `if workflow.patched("<what>"):`, leave what was in the
     `else`, and run `{WRITE}`.
  2. Runs from before give what they gave: the code only moved, or what is new needs an input that they don't have.
     `pytest tests/replay` passes too. Then `{WRITE} --because "<how you know>"`.
  3. No run from before can be open. Say in docs/upgrading.md, under "Histories", how an operator makes sure of it.
     Then as in 2, and record anew: `python -m tests.replay.record <case> --because "<that line>"`."""

HISTORIES_TODO = """\
What to do: get the file back (`git checkout -- tests/histories`), and guard the change with
`workflow.patched("<what>")`. Only where no run from before can be open: say so in docs/upgrading.md, under "Histories",
and record it with that line as the reason: `python -m tests.replay.record <case> --because "<that line>"`."""


def current_commands() -> dict[str, Commands]:
    """Read what the code gives now."""
    return Reader(Workflows()).all()


def known(file: Path) -> dict[str, Any]:
    """Read one of the two files."""
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def broken_commands(before: dict[str, Commands], now: dict[str, Commands]) -> dict[str, list[str]]:
    """Give what is other than it was for runs that began before: by procedure, each place as a difference."""
    found = {}
    for name, commands in before.items():
        after = without_new_patches(commands, now.get(name, []))
        if after != commands:
            found[name] = _differences(commands, after)
    return found


def _differences(before: Commands, after: Commands) -> list[str]:
    places: list[list[str]] = []
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        if line.startswith("@@"):
            places.append([])
        else:
            places[-1].append(f"    {line[:1]} {line[1:]}")
    return ["\n".join(place) for place in places]


def told(broken: dict[str, list[str]]) -> list[str]:
    """Tell it, each difference once with all procedures that have it: what helpers do is many procedures' change."""
    same: dict[str, tuple[str, list[str]]] = {}
    for name, places in broken.items():
        for place in places:
            changed = "\n".join(line for line in place.splitlines() if line[4] != " ")
            names = same.setdefault(changed, (place, []))[1]
            if name not in names:
                names.append(name)
    return [f"Other commands than before, from {', '.join(names)}:\n{place}" for place, names in same.values()]


def digest(file: Path) -> str:
    """Give a history's digest."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def digests(folder: Path = HISTORIES) -> dict[str, str]:
    """Give the digests of all recorded histories."""
    return {file.stem: digest(file) for file in sorted(folder.glob("*.json"))}


def broken_histories(manifest: dict[str, Any], now: dict[str, str]) -> list[str]:
    """Tell which recorded histories are not the ones that were written down."""
    found = []
    for name, entry in manifest.items():
        if name not in now:
            found.append(f"{name} is gone: runs that went this way are no longer replayed")
        elif entry["recorded"][-1]["sha256"] != now[name]:
            found.append(f"{name} was recorded anew, and nobody has said why")
    return found


def unwritten(before: dict[str, Commands], now: dict[str, Commands], manifest: dict[str, Any]) -> list[str]:
    """Tell what is new, hurts nobody, and still has to be written down, so that it is guarded from now on."""
    changed = [name for name, commands in now.items() if before.get(name) != commands]
    return changed + [f"{name}.json" for name in digests() if name not in manifest]


def check() -> str:
    """Give everything that is wrong, with why it matters and what to do; empty where all is well."""
    before, now, manifest = known(COMMANDS).get("commands", {}), current_commands(), known(MANIFEST)
    commands, histories = broken_commands(before, now), broken_histories(manifest, digests())
    parts = []
    if commands:
        parts += [*told(commands), WHY, COMMANDS_TODO]
    if histories:
        parts += [*histories, WHY, HISTORIES_TODO]
    if not parts and (new := unwritten(before, now, manifest)):
        parts = [f"New, and not written down yet: {', '.join(new)}. Run `{WRITE}`, and commit what it writes."]
    return "\n\n".join(parts)


def accept(because: str) -> str:
    """Write down what the code gives now; gives what is wrong instead, where that needs a reason."""
    file, now = known(COMMANDS), current_commands()
    broken = broken_commands(file.get("commands", {}), now)
    if broken and not because:
        return check()
    accepted = file.get("accepted", [])
    if broken:
        accepted.append({"names": list(broken), "because": because})
    _write(COMMANDS, {"accepted": accepted, "commands": now})
    for name in digests().keys() - known(MANIFEST).keys():
        note_recorded(name, FIRST)
    return check()


def note_recorded(name: str, because: str) -> None:
    """Write down that a history was recorded."""
    manifest = known(MANIFEST)
    records = manifest.setdefault(name, {"recorded": []})["recorded"]
    records.append({"sha256": digest(HISTORIES / f"{name}.json"), "because": because})
    _write(MANIFEST, dict(sorted(manifest.items())))


def refusal(name: str, because: str) -> str:
    """Say why a history may not be recorded; empty where it may."""
    if not (HISTORIES / f"{name}.json").exists():
        return ""
    if not because:
        return f"{name} is recorded already.\n\n{WHY}\n\n{HISTORIES_TODO}"
    if because not in told_in_upgrading():
        return f"docs/upgrading.md doesn't say {because!r}.\n\n{HISTORIES_TODO}"
    return ""


def told_in_upgrading() -> str:
    """Give docs/upgrading.md on one line, so that a reason is found wherever its line is broken."""
    return " ".join(UPGRADING.read_text(encoding="utf-8").split())


def _write(file: Path, content: dict[str, Any]) -> None:
    head = f"# Written by `{WRITE}`; its docstring says what for.\n\n"
    file.write_text(head + tomli_w.dumps(content, multiline_strings=False), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Check, or write down; gives the process's exit code."""
    parser = ArgumentParser(prog=WRITE, description=__doc__)
    parser.add_argument("--check", action="store_true", help="only look")
    parser.add_argument("--because", default="", help="why commands of existing runs may change")
    given = parser.parse_args(arguments)
    wrong = check() if given.check else accept(given.because)
    print(wrong or "Recorded histories and the procedures' commands are as they were written down.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
