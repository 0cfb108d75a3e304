"""The report as Markdown, HTML, PDF and for a terminal: whole, harmless, and with charts that fit the numbers."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from audit.render import report as rendering
from audit.render.report_blocks import blocks
from tests.audit.render.months import hostile, month
from tests.audit.reports import report


@pytest.mark.parametrize("made", [month, hostile, report])
def test_a_terminal_shows_every_row(made: Any) -> None:
    told = made()
    console = Console(width=400, record=True, file=StringIO())
    console.print(rendering.terminal(told))
    shown = console.export_text()
    for block in blocks(told):
        assert all(cell in shown for row in block.rows for cell in row)
    assert json.loads(rendering.as_json(told))["runs"] == told.runs
