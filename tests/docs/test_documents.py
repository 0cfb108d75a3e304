"""What documents name is there: files, decisions, places."""

import re
from pathlib import Path

import pytest

from docs.steps import ROOT

PAGES = sorted(
    str(file.relative_to(ROOT))
    for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if file.name != "runbook.md"  # made from the code: test_runbook.py
)
WIDE = {
    "ARCHITECTURE.md",
    "docs/certificates.md",
    "docs/databases.md",
    "docs/deployment.md",
    "docs/evidence.md",
}
"""Pages that still have lines which nobody can read; no other may get one."""

ROOMS = "workflows|activities|workers|starters|audit|records_schema|libraries|sandbox|tests|docs|deploy|bench"
ELSEWHERE = {"audit/heads/"}
"""Names within a store."""

DECISIONS = sorted((ROOT / "docs/decisions").glob("0*.md"))


@pytest.mark.parametrize("document", PAGES)
def test_files_that_a_page_links_to_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    missing = [link for link in links if not ((ROOT / document).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", PAGES)
def test_files_that_a_page_names_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    names = re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text)
    missing = [name for name in names if name not in ELSEWHERE and not (ROOT / name).exists()]
    assert missing == []


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    listed = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert [file.name[:3] for file in DECISIONS] == [f"{n:03}" for n in range(1, len(DECISIONS) + 1)]
    for file in DECISIONS:
        title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"| [{file.name[:3]}]({file.name}) | {title} |" in listed


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_says_why_instead_of_what_and_what_would_change_it(file: Path) -> None:
    heads = re.findall(r"^\*\*([^:]+):\*\*", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert heads == ["Chosen", "Why", "Instead of", "Price", "What would change our mind", "Where"]


@pytest.mark.parametrize("document", [document for document in PAGES if document not in WIDE])
def test_lines_can_be_read(document: str) -> None:
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > 160 and not line.startswith("|")] == []
