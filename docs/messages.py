"""`python -m docs.messages [FOLDER]`: how the channel reads the messages of some runs, as pictures.

The runs are recorded ones (`tests/histories`), replayed by today's code: so the texts are those that it writes now. A
browser shows them as Slack does: its mrkdwn, and the chart below. To look at after a change of what is told; needs
Chromium, as the browser tests do.
"""

import asyncio
import base64
import html
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from activities.messages.chat.chat import PostMessage
from activities.messages.chat.pictures import drawn
from docs.steps import ROOT
from sandbox.browser import OPTIONS, ensure
from workers.converter import DATA_CONVERTER
from workers.interceptors import RunbookInterceptor
from workers.registry import procedure
from workers.runner import runner

HISTORIES = ROOT / "tests" / "histories"
RUNS = {
    "morning": ("morning_startup-green", "morning_startup-listed-as-open"),
    "pulse": ("hourly_health_pulse-warned",),
    "evening": ("end_of_day-with-windows", "end_of_day-handed-over"),
    "p2": ("p2_incident-asked", "p2_incident-resolved", "p2_incident-raised"),
    "window": (
        "maintenance_window-ticked",
        "maintenance_window-overrun",
        "maintenance_window-task-failed",
        "maintenance_window-cancelled",
    ),
}
"""Picture → the recorded runs whose messages it shows."""

POST = "slack.post"
_WITHIN = 120_000
"""Milliseconds that the browser may take for a step: there may be no time for it on a busy machine."""
_CIRCLES = {"large_green_circle": "#2bac76", "large_yellow_circle": "#ecb22e", "red_circle": "#e01e5a"}
_MARKUP = (
    (r"`([^`\n]+)`", r"<code>\1</code>"),
    (r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>"),
    (r"(?<!\w)_([^_\n]+)_(?!\w)", r"<i>\1</i>"),
)
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px; width: 640px; font: 15px/1.46 Lato, "Noto Sans", "DejaVu Sans", sans-serif;
        color: #1d1c1d; background: #fff }}
h1 {{ font-size: 13px; margin: 16px 0 4px; color: #616061 }}
article {{ padding: 8px 0; border-top: 1px solid #eee; overflow-wrap: anywhere }}
h2 {{ font-size: 15px; margin: 0 }} p {{ margin: 0; white-space: pre-wrap }}
code {{ color: #e01e5a; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px;
        font-size: 12px }}
.circle {{ display: inline-block; width: 13px; height: 13px; border-radius: 50% }}
.emoji {{ color: #616061; background: #f0f0f0; border-radius: 8px; padding: 0 6px; font-size: 12px }}
img {{ max-width: 100%; margin-top: 8px; border: 1px solid #ddd; border-radius: 8px }}
</style>{messages}"""


@dataclass(frozen=True)
class Picture:
    """One picture: its file, and the messages on it by their run."""

    file: Path
    posts: dict[str, list[PostMessage]]


class _Posts(Interceptor):
    """Keeps what a replayed run posts."""

    def __init__(self) -> None:
        self.found: list[PostMessage] = []

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor]:
        del input
        found = self.found

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:  # noqa: A002
                if input.activity == POST:
                    found.append(PostMessage.model_validate(input.args[0]))
                return super().start_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        return Inbound


async def messages(run: str) -> list[PostMessage]:
    """Replay a recorded run, and give what it posts in its channels, in order.

    Raises:
        NondeterminismError: today's code no longer replays it.

    """
    posts = _Posts()
    # Without the sandbox: what it keeps out of the run is where the posts are kept.
    replayer = Replayer(
        workflows=[procedure(run.partition("-")[0]).workflow],
        data_converter=DATA_CONVERTER,
        interceptors=[RunbookInterceptor(), posts],
        workflow_runner=runner(sandbox=False),
    )
    history = (HISTORIES / f"{run}.json").read_text(encoding="utf-8")
    await replayer.replay_workflow(WorkflowHistory.from_json(run, history))
    return posts.found


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


def page(posts: dict[str, list[PostMessage]]) -> str:
    """Give a page with the messages of some runs."""
    runs = (f"<h1>{html.escape(run)}</h1>{''.join(map(shown, found))}" for run, found in posts.items())
    return _PAGE.format(messages="".join(runs))


async def draw(browser: Browser, folder: Path) -> list[Picture]:
    """Write a picture of each of `RUNS` into a folder."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    tab = await browser.new_page(viewport={"width": 672, "height": 100})
    tab.set_default_timeout(_WITHIN)
    pictures = []
    for name, runs in RUNS.items():
        picture = Picture(folder / f"{name}.png", {run: await messages(run) for run in runs})
        await tab.set_content(page(picture.posts))
        await tab.screenshot(path=picture.file, full_page=True)
        pictures.append(picture)
    await tab.close()
    return pictures


async def main(arguments: Sequence[str]) -> None:
    """Draw them, and say where they are."""
    async with async_playwright() as playwright:
        program = await asyncio.to_thread(ensure)
        browser = await playwright.chromium.launch(executable_path=str(program), args=list(OPTIONS), timeout=_WITHIN)
        for picture in await draw(browser, Path(arguments[0] if arguments else "var/messages")):
            print(picture.file)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
