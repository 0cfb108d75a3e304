"""`python -m docs.messages [FOLDER]`: how the channel reads the messages of some runs, as pictures.

The texts and charts are those of recorded runs (`tests/histories`); a browser shows them as Slack does: its mrkdwn, and
the chart below. To look at after a change of what is told; needs Chromium, as the browser tests do.
"""

import base64
import html
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from activities.messages.chat.chat import PostMessage
from activities.messages.chat.pictures import drawn
from docs.steps import ROOT
from sandbox.browser import OPTIONS, ensure

RUNS = {
    "morning": "morning_startup-listed-as-open",
    "pulse": "hourly_health_pulse-warned",
    "evening": "end_of_day-with-windows",
    "p2": "p2_incident-asked",
    "window": "maintenance_window-ticked",
}
"""Picture → the recorded run whose messages it shows."""

_CIRCLES = {"large_green_circle": "#2bac76", "large_yellow_circle": "#ecb22e", "red_circle": "#e01e5a"}
_MARKUP = (
    (r"`([^`\n]+)`", r"<code>\1</code>"),
    (r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>"),
    (r"(?<!\w)_([^_\n]+)_(?!\w)", r"<i>\1</i>"),
)
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px; width: 640px; font: 15px/1.46 Lato, "Noto Sans", "DejaVu Sans", sans-serif;
        color: #1d1c1d; background: #fff }}
article {{ padding: 8px 0; border-top: 1px solid #eee; overflow-wrap: anywhere }}
h2 {{ font-size: 15px; margin: 0 }} p {{ margin: 0; white-space: pre-wrap }}
code {{ color: #e01e5a; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px;
        font-size: 12px }}
.circle {{ display: inline-block; width: 13px; height: 13px; border-radius: 50% }}
.emoji {{ color: #616061; background: #f0f0f0; border-radius: 8px; padding: 0 6px; font-size: 12px }}
img {{ max-width: 100%; margin-top: 8px; border: 1px solid #ddd; border-radius: 8px }}
</style>{messages}"""


def messages(history: Path) -> Iterator[PostMessage]:
    """Give what a recorded run posted in its channels, in order."""
    for event in json.loads(history.read_text(encoding="utf-8"))["events"]:
        scheduled: dict[str, Any] = event.get("activityTaskScheduledEventAttributes") or {}
        if scheduled.get("activityType", {}).get("name") == "slack.post":
            (payload,) = scheduled["input"]["payloads"]
            yield PostMessage.model_validate_json(base64.b64decode(payload["data"]))


def shown(message: PostMessage) -> str:
    """Give one message as HTML, as Slack shows it."""
    # What we send has Slack's three escapes already, which are HTML's too; quotes are left.
    text = html.escape(html.unescape(message.text), quote=False)
    for pattern, becomes in _MARKUP:
        text = re.sub(pattern, becomes, text)
    text = re.sub(r":([a-z_]+):", _emoji, text)
    image = ""
    if message.picture is not None:
        image = f'<img src="data:image/png;base64,{base64.b64encode(drawn(message.picture)).decode()}">'
    return f"<article><h2>{html.escape(message.channel)}</h2><p>{text}</p>{image}</article>"


def _emoji(found: re.Match[str]) -> str:
    """Draw the circles, and name the others: a machine's browser may have no letters for them."""
    if colour := _CIRCLES.get(found[1]):
        return f'<span class="circle" style="background: {colour}"></span>'
    return f'<span class="emoji">{found[1].replace("_", " ")}</span>'


def main(folder: Path) -> None:
    """Write a picture of each into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(ensure()), args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 672, "height": 100})
        for name, run in RUNS.items():
            posted = messages(ROOT / "tests" / "histories" / f"{run}.json")
            page.set_content(_PAGE.format(messages="".join(map(shown, posted))))
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            print(folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "var/messages"))
