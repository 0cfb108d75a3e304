"""CONTRIBUTING's lists of places are walked: what they name is there, and nothing else names the example."""

import re
from dataclasses import dataclass

import pytest

from docs.steps import ROOT
from workers.registry import PROCEDURES, Procedure

PRODUCT = ("workflows", "activities", "workers", "starters", "audit", "records_schema", "libraries")
PROSE = {
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/runbook.md",  # made from the code
    "docs/runbook.toml",
    "docs/using.md",  # shows every procedure at work
    "docs/scale.md",  # figures of runs
    "docs/backups.md",
    "activities/messages/paging/paging.py",  # a Protocol's docstring says who implements it
    "workflows/security/rotation.py",  # 8.1 has 8.2 replace the key of a customer
    # PagerDuty is a sender of alerts as well, which has a list of its own.
    "docs/alert-sources.md",
    "starters/sources/pagerduty.py",
    "starters/sources/registry.py",
    "workers/source_settings.py",
}
"""What tells of things, and isn't a place where something has to be done."""
PATH = re.compile(r"`([\w./<>-]+/[\w./<>-]*|[\w-]+\.(?:md|toml))`")


@dataclass(frozen=True)
class Kind:
    """One list of CONTRIBUTING."""

    title: str
    places: list[str]
    example: dict[str, str]
    named: list[str]

    def filled(self, values: dict[str, str]) -> list[str]:
        return [re.sub(r"<(\w+)>", lambda found: values.get(found[1], found[0]), place) for place in self.places]


def kinds() -> dict[str, Kind]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    chapter = text.split("## Where a change goes: every place")[1].split("\n## ")[0]
    found = {}
    for part in chapter.split("\n### ")[1:]:
        title, _, body = part.partition("\n")
        steps = re.findall(r"^\d+\. ((?:.|\n   )*)", body, re.MULTILINE)
        (example,) = re.findall(r"^Example: ((?:.|\n(?!\n))*)", body, re.MULTILINE)
        values, _, names = " ".join(example.split()).partition("t is named ")
        found[title] = Kind(
            title,
            [place for step in steps for place in PATH.findall(step)],
            dict(re.findall(r"`<(\w+)>` is `([^`]+)`", values)),
            re.findall(r"`([^`]+)`", names.split(". ")[0]),
        )
    return found


KINDS = kinds()
each = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.title.replace(" ", "-"))


def test_there_is_a_list_for_each_kind_of_addition() -> None:
    assert list(KINDS) == [
        "A new procedure",
        "A new outside system",
        "A new source of alerts",
        "A new word that people may say",
        "A new setting",
    ]


@each
def test_every_place_of_a_list_is_there(kind: Kind) -> None:
    missing = [place for place in kind.filled(kind.example) if not (ROOT / place).exists()]
    assert missing == []


def naming(words: list[str]) -> set[str]:
    """The files of the product, and of what is told of it, that name something."""
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in words), re.IGNORECASE)
    files = [file for room in (*PRODUCT, "deploy", "docs") for file in (ROOT / room).rglob("*.*")]
    texts = [file for file in (*files, *ROOT.glob("*.md")) if file.suffix in {".py", ".toml", ".md", ".sql", ".yaml"}]
    found = {str(file.relative_to(ROOT)) for file in texts if pattern.search(file.read_text(encoding="utf-8"))}
    return {file for file in found if file not in PROSE and not file.startswith("docs/decisions/")}


@each
def test_nothing_else_names_the_example(kind: Kind) -> None:
    places = kind.filled(kind.example)
    extra = {file for file in naming(kind.named) if not any(_in(file, place) for place in places)}
    assert extra == set(), f"{kind.title}: places that CONTRIBUTING doesn't list"


def _in(file: str, place: str) -> bool:
    return file == place or (place.endswith("/") and file.startswith(place))


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_every_procedure_has_every_place(entry: Procedure) -> None:
    kind = KINDS["A new procedure"]
    section = entry.module.rpartition(".")[0].replace(".", "/")
    values = {"section": section, "procedure": entry.name}
    for place in kind.filled(values):
        if "<cases>" in place:
            assert list((ROOT / "tests/histories").glob(f"{entry.name}-*.json"))
        elif place == "tests/crash/scenarios/" + entry.name + ".py":
            scenarios = (ROOT / "tests/crash/scenarios").glob("*.py")
            assert any(f'"{entry.name}"' in file.read_text(encoding="utf-8") for file in scenarios), place
        else:
            assert (ROOT / place).exists(), place
    for place, word in {"README.md": f"| `{entry.command}` ", "docs/runbook.toml": f'["{entry.section}"]'}.items():
        assert word in (ROOT / place).read_text(encoding="utf-8"), f"{place} has no {word}"


def test_the_worked_example_needs_as_many_places_as_the_list_says() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"That\s+is\s+(\d+)\s+places", text)
    assert int(said) == len(KINDS["A new procedure"].places)
