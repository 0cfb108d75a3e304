"""`python -m docs`: write the pages that are made from the code; `--check` only says which are out of date."""

import json
import sys

from docs import cli_page, runbook_page, settings_page
from docs.steps import ROOT, Workflows
from starters.steering import catalogue


def _runbook() -> str:
    return runbook_page.page(Workflows())


def _lines() -> str:
    return runbook_page.lines_of_page(Workflows())


def _schemas() -> str:
    return json.dumps(catalogue.schemas(), ensure_ascii=False, indent=1) + "\n"


_PAGES = {
    "docs/runbook.md": _runbook,
    "docs/settings.md": settings_page.page,
    "docs/cli.md": cli_page.page,
    "starters/web/runbook.json": _lines,
    "starters/steering/schemas.json": _schemas,
}


def main(arguments: list[str]) -> int:
    """Write, or check; gives the process's exit code."""
    stale = []
    for name, make in _PAGES.items():
        file, text = ROOT / name, make()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8")
                print(f"{name}: written")
    if stale and "--check" in arguments:
        print(f"out of date: {', '.join(stale)}. `make docs` writes them anew")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
