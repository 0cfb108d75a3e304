"""What people write into a post-mortem stays, whatever it is and wherever they write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.postmortem_document import NotOurs, Section, compose, merge

ID = "INC-1"
SECTIONS = [
    Section("", "# Post-mortem INC-1"),
    Section("summary", "## Summary\n\nIt was down."),
    Section("timeline", "## Timeline\n\n- 03:00 down\n- 03:05 up"),
    Section("", "## Actions\n\n| | |\n|---|---|"),
    Section("questions", "## Open questions\n\n- none"),
]
LATER = [Section(section.name, f"{section.text}\n\nMore is known.") for section in SECTIONS]
FIRST = compose(ID, SECTIONS)
MARKERS = [line for line in FIRST.splitlines() if line.startswith("<!--")]


def test_written_twice_it_is_the_same() -> None:
    merged = merge(FIRST, ID, SECTIONS)
    assert merged.text == FIRST
    assert (merged.written, merged.edited, merged.removed) == (["summary", "timeline", "questions"], [], [])


def test_sections_that_nobody_touched_are_written_anew_and_the_rest_is_left() -> None:
    merged = merge(FIRST, ID, LATER)
    assert merged.text.count("More is known.") == 3
    assert "| | |\n|---|---|\n\n<!--" in merged.text


def test_an_edited_section_stays_as_it_is_while_the_others_are_written_anew() -> None:
    edited = FIRST.replace("It was down.", "It was down for ten customers.")
    merged = merge(edited, ID, LATER)
    assert merged.edited == ["summary"]
    assert merged.written == ["timeline", "questions"]
    assert "It was down for ten customers.\n<!-- runbooks:end summary -->" in merged.text


def test_a_removed_section_does_not_come_back() -> None:
    start, end = FIRST.index("<!-- runbooks:begin timeline"), FIRST.index("## Actions")
    merged = merge(FIRST[:start] + FIRST[end:], ID, LATER)
    assert merged.removed == ["timeline"]
    assert "timeline -->" not in merged.text
    assert merge(merged.text, ID, LATER).text == merged.text


@pytest.mark.parametrize("text", ["", "# Notes\n", "all mine\n" * 100])
def test_a_file_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(NotOurs):
        merge(text, ID, SECTIONS)


def test_the_file_of_another_incident_is_refused() -> None:
    with pytest.raises(NotOurs, match="INC-1"):
        merge(FIRST, "INC-2", SECTIONS)


ANYTHING = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\n\r<>!-# ")), max_size=60)
TYPED = st.one_of(ANYTHING, st.sampled_from([f"\n{marker}\n" for marker in MARKERS]))


@given(st.data())
def test_any_edit_anywhere_survives_writing_it_anew(data: st.DataObject) -> None:
    text = FIRST
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 80)))
        text = text[:start] + data.draw(TYPED) + text[end:]
    try:
        merged = merge(text, ID, LATER)
    except NotOurs:
        return
    kept = sections_of(merged.text)
    for name, before in sections_of(text):
        # A section is either exactly what we had written, or it is there as people left it.
        assert (name, before) in sections_of(FIRST) or (name, before) in kept
    assert outside(merged.text) == outside(text)
    assert merge(merged.text, ID, LATER).text == merged.text


@given(ANYTHING.filter(str.strip), st.integers(0, len(FIRST)))
def test_what_somebody_types_in_is_there_afterwards(typed: str, place: int) -> None:
    edited = FIRST[:place] + typed + FIRST[place:]
    try:
        merged = merge(edited, ID, LATER)
    except NotOurs:  # typed into the very line that says whose document it is: nothing is written
        return
    assert typed in merged.text


def sections_of(text: str) -> list[tuple[str, str]]:
    """Read sections line by line, unlike the code under test."""
    found: list[tuple[str, str]] = []
    name, lines = "", list[str]()
    for line in text.split("\n"):
        words = line.split(" ")
        if line.startswith("<!-- runbooks:begin ") and line.endswith(" -->") and len(words) == 5:
            name, lines = words[2], []
        elif name and line == f"<!-- runbooks:end {name} -->":
            found.append((name, "\n".join(lines)))
            name = ""
        elif name:
            lines.append(line)
    return found


def outside(text: str) -> str:
    """Everything that isn't in a whole section."""
    for name, body in sections_of(text):
        begun = text.index(f"<!-- runbooks:begin {name} ")  # what somebody types before it is no end of it
        end = f"{body}\n<!-- runbooks:end {name} -->" if body else f"<!-- runbooks:end {name}"
        start = text.index(end, begun)
        begin = text.rindex(f"<!-- runbooks:begin {name} ", 0, start)
        stop = text.index(f"<!-- runbooks:end {name} -->", start) + len(f"<!-- runbooks:end {name} -->")
        text = f"{text[:begin]}[{name}]{text[stop:]}"
    return text
