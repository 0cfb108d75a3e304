"""The transcript of the pages, which takes long, would type every line that its pages have today."""

import pytest

from docs.steps import ROOT
from tests.docs.shell import page_lines
from tests.docs.typed_pages import PAGES


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_a_page_is_typed_in_its_order_or_done_by_a_test_that_is_there(page: str) -> None:
    for line, typed in zip(page_lines(page), PAGES[page], strict=True):
        assert line.startswith(typed.page), page
        assert not typed.elsewhere or (ROOT / typed.elsewhere).is_file(), line
