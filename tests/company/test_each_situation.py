"""The table of situations names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)`")


def test_each_situation_has_its_test() -> None:
    rows = [line for line in Path(__file__).with_name("README.md").read_text().splitlines() if line.startswith("| ")]
    named = [_NAMED.search(row) for row in rows[1:]]
    assert len(named) > 30
    for row, found in zip(rows[1:], named, strict=True):
        assert found is not None, row
        assert re.search(rf"^(async )?def {found['test']}\(", (ROOT / found["file"]).read_text(), re.MULTILINE), row


def test_every_module_of_situations_is_in_the_table() -> None:
    table = Path(__file__).with_name("README.md").read_text()
    here = {file.name for file in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in here if name not in table} == set()
