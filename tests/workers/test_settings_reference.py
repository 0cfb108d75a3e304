"""Every setting has its line in the reference, which is valid, and editors get a schema."""

import os
import re
import tomllib

import pytest

from docs.steps import ROOT
from workers.settings import Settings
from workers.settings_reference import reference, schema, tables


def test_every_setting_has_a_description_and_a_line_in_the_page_of_settings() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    found = list(tables())
    assert sum(len(table.settings) for table in found) > 300
    for table in found:
        chapter = page.partition(f"[{table.name}]{']' if table.many else ''}`\n")[2].partition("\n## ")[0]
        for setting in table.settings:
            assert f"| `{setting.name}` |" in chapter, (table.name, setting.name)
            assert setting.what, f"[{table.name}] {setting.name} has no description"


def test_the_reference_is_valid_where_its_comments_are_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults that it shows are the program's own: a section that has nothing required is as it was."""
    for name in [name for name in os.environ if name.startswith("RUNBOOKS_")]:
        monkeypatch.delenv(name)
    text = re.sub(r"^# (\[.*\]|\w+ = .*)$", r"\1", reference(), flags=re.MULTILINE)
    told = tomllib.loads("\n".join(line for line in text.splitlines() if "…" not in line))
    del told["webhook"]["sources"]  # each has to say its kind
    fine = {name: told[name] for name in ("temporal", "worker", "webhook", "evidence", "audit", "observability")}
    assert Settings(**fine).model_dump(include=set(fine)) == Settings().model_dump(include=set(fine))


def test_editors_get_a_schema_with_every_section() -> None:
    made = schema()
    assert made["title"] == "runbooks.toml"
    assert made["properties"].keys() == Settings.model_fields.keys()
