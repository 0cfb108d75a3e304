"""What a run says about the alert that started it: bounded in bytes, and nothing in it is read as Markdown."""

import json

from activities.records.alerts import Alert
from audit.text import plain, shown

SUMMARY_BYTES = 400
DETAILS_BYTES = 20_000
"""Temporal's limits of a run's static summary and details, as encoded; a longer one refuses the start."""

_BREAKING = str.maketrans(dict.fromkeys("\r\n\t`", " ") | {"<": "(", ">": ")"})
"""What ends code or a link's address: there, nothing else is markup."""


def summary(title: str, alert: Alert) -> str:
    """Give one line for the list of runs."""
    return clipped(f"{title}: {plain(alert.summary)}", SUMMARY_BYTES)


def details(alert: Alert) -> str:
    """Give the alert as Markdown, with links to where it comes from."""
    lines = [f"**{_code(alert.summary)}**", "", f"Firing since {alert.starts_at:%Y-%m-%d %H:%M:%S %Z}", ""]
    lines += [f"- {_code(name)}: {_code(value)}" for name, value in sorted(alert.labels.items())]
    links = {"Source": alert.generator_url, "Runbook": alert.annotations.get("runbook_url", "")}
    lines += [f"\n[{name}](<{_plain(url)}>)" for name, url in links.items() if url.startswith(("http://", "https://"))]
    return clipped("\n".join(lines), DETAILS_BYTES)


def clipped(text: str, limit: int) -> str:
    """Cut a text so that its JSON takes at most `limit` bytes."""
    # JSON has six bytes at most for a character, as in `\u001f`.
    if len(text) * 6 + 2 <= limit or len(_encoded(text)) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_encoded(f"{text[:middle]}…")) <= limit else (low, middle - 1)
    return f"{text[:low]}…"


def _encoded(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode(errors="replace")


def _plain(text: str) -> str:
    return shown(text).translate(_BREAKING)


def _code(text: str) -> str:
    return f"`{_plain(text)}`"
