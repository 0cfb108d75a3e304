"""Facts for programs: `--json` writes one document on stdout, and nothing else there."""

import json
from typing import Any

from starters.cli.people import console


def as_document(facts: Any) -> None:
    """Write it; times are ISO 8601, and what JSON has no form for is text."""
    console.file.write(json.dumps(facts, indent=2, ensure_ascii=False, default=_text) + "\n")


def result(sentence: str, *, as_json: bool, **facts: Any) -> None:
    """Say what came of a command: a sentence to people, its facts to programs."""
    if as_json:
        as_document(facts)
    else:
        console.print(sentence, markup=False, soft_wrap=True)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
