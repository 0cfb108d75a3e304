"""`docs/settings.md`: every setting, made from the models."""

import textwrap

from workers.settings_reference import Setting, tables

_HEAD = """\
# Settings

Every setting there is, in one file, `runbooks.toml` (`RUNBOOKS_CONFIG` names another). `make docs` writes this page
from the program; `runbooks config reference` prints the same as a file in which everything is a comment,
`runbooks config init` begins one, `runbooks config schema` gives its JSON schema for editors, and
`runbooks config check` reads yours and names every fault with its line.

- A variable counts before the file: `RUNBOOKS_RECORDS__URL` is `url` in `[records]`.
- A secret is best a file: `"file:/run/secrets/x"`. Workers read them all when they start; a command reads one when it
  uses it.
- Durations are written as ISO 8601 has them: `PT10M`, `P1D`.
- A command needs only `[temporal]`, or one of Temporal's own profiles or variables (`TEMPORAL_PROFILE`,
  `TEMPORAL_ADDRESS`), and `[gateway]` where it signs what people say.
"""
_WIDTH = 120


def page() -> str:
    """Write the page."""
    parts = [_HEAD]
    for table in tables():
        head = f"[[{table.name}]]" if table.many else f"[{table.name}]"
        what = "\n".join(textwrap.wrap(_cell(table.what), _WIDTH, break_long_words=False, break_on_hyphens=False))
        parts.append(f"\n## `{head}`\n\n{what}\n" if what else f"\n## `{head}`\n")
        if table.settings:
            parts.append("\n| Name | Kind | Default | What |\n|---|---|---|---|\n")
            parts += [_row(setting) for setting in table.settings]
    return "".join(parts)


def _row(setting: Setting) -> str:
    default = "required" if setting.required else f"`{_cell(setting.default)}`" if setting.default else ""
    return f"| `{setting.name}` | {_cell(setting.kind)} | {default} | {_cell(setting.what)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
