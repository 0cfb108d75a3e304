"""A report's blocks say every cell on a page, in Markdown and as PDF, and no markup of others."""

import re
from typing import Any

import pypdfium2
import pytest

from audit.render import report as rendering
from audit.render.report_blocks import blocks
from tests.audit.render.months import Page, hostile, month
from tests.audit.reports import report


@pytest.mark.parametrize("made", [month, hostile, report])
def test_the_page_is_whole_self_contained_and_says_every_cell(made: Any) -> None:
    told = made()
    page = Page(rendering.html(told))
    assert page.outside == []
    assert len(set(page.ids)) == len(page.ids)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    for block in blocks(told):
        for cell in (block.title, *(cell for row in block.rows for cell in row)):
            assert cell in page.text
        assert block.rows or block.empty in page.text


@pytest.mark.parametrize("made", [month, hostile, report])
def test_markdown_has_every_row_and_no_markup_of_others(made: Any) -> None:
    told = made()
    text = rendering.markdown(told)
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| Severity")]
    assert len(rows) >= sum(len(block.rows) for block in blocks(told))
    assert "<" not in text
    for block in blocks(told):
        start = text.index(f"## {block.title.replace('[', '')}")
        if block.rows:
            table = [line for line in text[start:].split("\n\n")[1].splitlines()]  # noqa: C416
            assert len(table) == len(block.rows) + 2
            assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(block.heads) + 1}


@pytest.mark.parametrize("made", [month, hostile, report])
def test_the_pdf_says_every_heading_and_row(made: Any) -> None:
    told = made()
    document = pypdfium2.PdfDocument(rendering.pdf(told))
    text = "".join(re.sub(r"[\s\u200b\ufffe\u0002-]", "", page.get_textpage().get_text_range()) for page in document)
    for block in blocks(told):
        assert re.sub(r"[\s-]", "", block.title) in text
        for row in block.rows:
            for cell in row:
                assert re.sub(r"[\s-]", "", cell.replace('"', '"').replace("'", "'")) in text
