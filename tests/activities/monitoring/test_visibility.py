"""Which texts can stand in a query of Temporal's visibility."""

import pytest

from activities.monitoring.visibility import can_be_quoted


@pytest.mark.parametrize("text", ["", "shop", "p1-incident/shop", "büro (1)", "a=b; c"])
def test_plain_texts_can_be_quoted(text: str) -> None:
    assert can_be_quoted(text)


@pytest.mark.parametrize("text", ["it's", 'say "x"', "a`b", "a\\b", "' OR WorkflowId != '"])
def test_texts_with_quotes_can_not(text: str) -> None:
    assert not can_be_quoted(text)
