"""`docs/runbook.md` tells the truth: every line of the page has its row, and every row its code."""

import ast
import re
from datetime import UTC, datetime
from functools import cache

import pytest
from typer.main import get_command

from docs.runbook_page import NOT_BUILT, Line, Section, page, sections
from docs.steps import KEY, ROOT, Workflows
from starters.__main__ import application
from workers.registry import PROCEDURES
from workflows.customer_operations.checklist import checklist

WORKFLOWS = Workflows()
SECTIONS = sections()
LINES = [line for section in SECTIONS for line in section.lines]
BUILT = [line for section in SECTIONS if section.built for line in section.lines if not line.missing]
TYPED = ("tensafe-admin ", "kubectl ", "helm ", "aws ")


def name(line: Line) -> str:
    return f"{line.section}/{line.item or line.step}"


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/runbook.md").read_text(encoding="utf-8") == page(WORKFLOWS), "run `make docs`"


def test_every_section_of_the_runbook_is_there() -> None:
    """Eight chapters of three sections each; 2 and 4 tell theirs apart, 4 has two and 7 the restore last."""
    chapters = {number: [s.number for s in SECTIONS if s.number.startswith(f"{number}.")] for number in range(1, 9)}
    assert len(SECTIONS) == 23  # 2.1 is a table
    assert {number: len(found) for number, found in chapters.items()} == {n: 2 if n == 4 else 3 for n in range(1, 9)}
    assert [s.number for s in SECTIONS] == sorted(s.number for s in SECTIONS)
    assert {p.section for p in PROCEDURES} <= {s.number for s in SECTIONS}


@pytest.mark.parametrize("line", BUILT, ids=name)
def test_every_line_of_a_built_procedure_is_done_somewhere(line: Line) -> None:
    ticked_by_people = bool(line.item and line.says)
    assert line.done(WORKFLOWS) or ticked_by_people, f"no code of workflows/ names {', '.join(line.found_by)}"


def test_every_step_that_the_code_names_is_a_line_of_the_page() -> None:
    known = {key for line in LINES for key in line.found_by} | {section.number for section in SECTIONS}
    extra = {key: sorted(f.name for f in found) for key, found in WORKFLOWS.steps.items() if key not in known}
    assert extra == {}, "a step's key that docs/runbook.toml doesn't know"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.number)
def test_a_line_has_one_row_and_what_is_not_built_says_so(section: Section) -> None:
    text = page(WORKFLOWS).split(f"## {section.number} ")[1].split("\n## ")[0]
    rows = [row for row in text.splitlines() if re.match(r"\| (?!Line|-)", row)]
    assert len(rows) == len(section.lines)
    for line, row in zip(section.lines, rows, strict=True):
        assert row.startswith(f"| {line.step} | {line.text} | ")
        assert ("not built yet" in row) is (line.missing or not section.built)
    assert (NOT_BUILT in text) is not section.built


def test_what_is_said_to_be_missing_is() -> None:
    assert [line for line in LINES if line.missing and line.done(WORKFLOWS)] == []


def test_the_onboardings_checklist_is_the_pages() -> None:
    items = [item for phase in checklist(datetime(2026, 2, 4, tzinfo=UTC)).phases for item in phase.items]
    lines = [line for line in LINES if line.section == "5.1"]
    assert [line.item for line in lines] == [item.id for item in items]
    assert [line.text for line in lines] == [item.text for item in items]


@pytest.mark.parametrize("line", [line for line in LINES if line.says], ids=name)
def test_what_a_person_says_is_a_command(line: Line) -> None:
    for words in line.says:
        command = get_command(application([]))
        for word in words.split():
            found = getattr(command, "commands", {}).get(word)
            assert found is not None, f"runbooks {words}"
            command = found


@cache
def docstrings(file: str) -> str:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    texts = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return " ".join(" ".join(texts).split())


def models_of(file: str) -> set[str]:
    """The files that an activity's module takes its requests from."""
    imported = re.findall(r"^from (activities\.[\w.]+) import", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {f"{module.replace('.', '/')}.py" for module in imported}


@pytest.mark.parametrize("line", [line for line in BUILT if line.commands], ids=name)
def test_the_pages_commands_stand_whole_where_they_are_implemented(line: Line) -> None:
    found = line.done(WORKFLOWS)
    files = {function.file for function in found} | {a.file for activities in found.values() for a in activities}
    models = {model for file in files if file.startswith("activities/") for model in models_of(file)}
    told = " ".join(docstrings(file) for file in sorted(files | {m for m in models if (ROOT / m).is_file()}))
    missing = [command for command in line.commands if command.startswith(TYPED) and command not in told]
    assert missing == [], f"no docstring of {', '.join(sorted(files))} names the command"


def test_keys_are_told_from_other_numbers() -> None:
    assert KEY.fullmatch("2.2/A")
    assert KEY.fullmatch("2.2/14")
    assert KEY.fullmatch("3.1")
    assert not KEY.fullmatch("1.25")
    assert not KEY.fullmatch("v1.2/3")


def test_rules_that_docstrings_name_are_in_the_architecture() -> None:
    section = (
        (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Rules of a procedure")[1].split("\n## ")[0]
    )
    rules = set(re.findall(r"^0*(\d+)\. \*\*", section, re.MULTILINE))
    rooms = ("workflows", "activities", "workers", "starters", "audit", "records_schema")
    texts = {file: file.read_text(encoding="utf-8") for room in rooms for file in (ROOT / room).rglob("*.py")}
    named = {number for text in texts.values() for number in re.findall(r"ARCHITECTURE, rule (\d+)", text)}
    assert named
    assert named <= rules
    assert [str(file) for file, text in texts.items() if re.search(r"\bdesign,? rule", text)] == []
