"""`docs/runbook.md`: each line of the runbook's page, and where it is done.

The page's lines stand in `docs/runbook.toml`; where each is done is read from the code, and which procedures there are
from the registry. So a procedure that is merged tells of itself, and one that isn't there says so.
"""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.steps import ROOT, Activity, Found, Function, Workflows
from workers.registry import PROCEDURES, Procedure

LINES = ROOT / "docs" / "runbook.toml"
_HEAD = """\
# The runbook, line by line

Each line of the runbook's 22 procedures: the function that does it, the activities that it does it with, and the
command with which a person takes part. `make docs` writes this page from `docs/runbook.toml` and the code; a test fails
where it is out of date. A function without an activity decides, or says.
"""
NOT_BUILT = "Not built yet."


@dataclass(frozen=True)
class Line:
    """One line of the page."""

    section: str
    step: str
    text: str
    commands: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    item: str = ""
    missing: bool = False
    """Not built yet, though the procedure is."""

    @property
    def found_by(self) -> list[str]:
        """The keys with which the code may name it."""
        return self.keys or [f"{self.section}/{self.step}"]

    def done(self, workflows: Workflows) -> Found:
        """Say where it is done; nothing where it isn't.

        Raises:
            KeyError: `code` names something that isn't there.

        """
        found: Found = {key: value for dotted in self.code for key, value in workflows.of(dotted).items()}
        if self.item:
            return found or workflows.item(self.item, "workflows.customer_operations.")
        for key in self.found_by:
            for function, activities in workflows.steps.get(key, {}).items():
                found.setdefault(function, set()).update(activities)
        return found


@dataclass(frozen=True)
class Section:
    """One procedure of the page."""

    number: str
    title: str
    lines: list[Line]
    table: bool = False
    """It has no steps: it is data that others read."""

    @property
    def procedure(self) -> Procedure | None:
        """The procedure that implements it; None where there is none yet, and where there is nothing to run."""
        return next((entry for entry in PROCEDURES if entry.section == self.number), None)

    @property
    def built(self) -> bool:
        """Whether it is there."""
        return self.table or self.procedure is not None


def sections(file: Path = LINES) -> list[Section]:
    """Read the page's lines."""
    content: dict[str, dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))
    return [
        Section(
            number, has["title"], [Line(section=number, **line) for line in has["lines"]], table=has.get("table", False)
        )
        for number, has in content.items()
    ]


def page(workflows: Workflows) -> str:
    """Write the whole page."""
    return "\n".join([_HEAD, *(text for section in sections() for text in _section(section, workflows))])


def lines_of_page(workflows: Workflows) -> str:
    """Write the lines for the operators' page: by section, each with what the page says and what does it."""
    told = {
        section.number: [_told(line, workflows, built=section.built and not line.missing) for line in section.lines]
        for section in sections()
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def _told(line: Line, workflows: Workflows, *, built: bool) -> dict[str, Any]:
    done = line.done(workflows) if built else {}
    return {
        "step": line.step,
        "text": line.text,
        "commands": line.commands,
        "functions": sorted(function.name.removesuffix(".__init__") or function.module for function in done),
        "activities": sorted({activity.name for activities in done.values() for activity in activities}),
    }


def _section(section: Section, workflows: Workflows) -> list[str]:
    procedure = section.procedure
    if procedure is not None:
        file = f"workflows/{procedure.module.replace('.', '/')}.py"
        told = f"[`{procedure.workflow_type}`](../{file}), started by `runbooks start {procedure.command}`."
    else:
        told = "A table: other procedures read it." if section.table else NOT_BUILT
    rows = [_row(line, workflows, built=section.built and not line.missing) for line in section.lines]
    return [
        f"## {section.number} {section.title}\n",
        f"{told}\n",
        "| Line | The page | Its command | Function | Activities | A person says |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _row(line: Line, workflows: Workflows, *, built: bool) -> str:
    if built:
        done = sorted(line.done(workflows).items(), key=lambda entry: (not entry[1], entry[0]))
        where = "<br>".join(_function(function) for function, _ in done) or "ticked by people"
        by = "<br>".join(", ".join(map(_activity, sorted(activities))) or "—" for _, activities in done) or "—"
    else:
        where, by = "not built yet", "—"
    says = "<br>".join(f"`runbooks {word}`" for word in line.says) if built else ""
    commands = "<br>".join(f"`{command}`" for command in line.commands)
    return f"| {line.step} | {line.text} | {commands} | {where} | {by} | {says} |"


def _function(function: Function) -> str:
    name = function.name.removesuffix(".__init__") or function.module
    return f"[`{name}`](../{function.file})"


def _activity(activity: Activity) -> str:
    return f"[`{activity.name}`](../{activity.file})"
