"""`python -m docs.screens [FOLDER]`: what people see of runs, as pictures at 80 and at 200 columns.

It takes the sandbox that runs here (`make sandbox`), ships a bad release, starts runs that wait for people, and draws
what the command line says to each of the usual commands, and the pages of the Temporal UI. In the end it cancels
what it has started. To look at after a change of what is told; needs Chromium, as the browser tests
do.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import shlex
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Error, Page, async_playwright
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from sandbox import environment, manifests
from sandbox.browser import OPTIONS, ensure

COLUMNS = (80, 200)
_COLUMN_PIXELS = 9
"""How wide a letter of the browser is, so that a page is as wide as the terminal beside it."""

_LINES = 50
_WITHIN = 120_000
"""Milliseconds that the browser may take for a step: there may be no time for it on a busy machine."""

_COMES_WITHIN = 240.0
_LOOK_SECONDS = 1.0
_ASKS = b"[y/N]"
_PAGE = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 0; background: {background} }}
pre {{ display: inline-block; margin: 0; padding: 12px; font: 15px/1.3 "DejaVu Sans Mono", monospace;
      color: {foreground}; background: {background} }} a {{ color: inherit }} .r0 {{ }}
      {stylesheet}</style><pre>{code}</pre>"""


class NoSandbox(Exception):  # noqa: N818  reads as the sentence it is
    """There is nothing to draw."""


def typed(line: str, columns: int, says: str = "n\n") -> str:
    """Type a line on a terminal of so many columns, and give all that it shows; a question is answered."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "starters", *shlex.split(line)[1:]],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    # What was the terminal's other side is gone when the command is: that is its end.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65_536):
            if _ASKS in part:
                os.write(ours, says.encode())
            shown += part
    process.wait()
    os.close(ours)
    return shown.decode(errors="replace").replace("\r\n", "\n")


def left(shown: str) -> str:
    """Give what is left on the terminal of what was drawn over: a spinner, or a status that is followed."""
    kept = [""]
    for part in re.split(r"(\n|\x1b\[1A|\x1b\[2K|\r)", shown):
        match part:
            case "\n":
                kept.append("")
            case "\x1b[1A":
                kept = kept[:-1] or [""]
            case "\x1b[2K":
                kept[-1] = ""
            case "\r":
                pass
            case _:
                kept[-1] += part
    return "\n".join(kept)


def lines(shown: str, columns: int) -> list[Text]:
    """Break lines as a terminal does, which knows nothing of words."""
    broken = []
    for line in AnsiDecoder().decode(left(shown)):
        broken += [line[at : at + columns] for at in range(0, max(1, len(line)), columns)]
    return broken


def page(line: str, shown: str, columns: int) -> str:
    """Give a page that looks as the terminal did."""
    console = Console(record=True, width=columns, file=StringIO(), color_system="truecolor", highlight=False)
    for one in (Text(f"$ {line}", style="bold"), *lines(shown, columns)):
        console.print(one, soft_wrap=True)
    return console.export_html(theme=MONOKAI, code_format=_PAGE)


class Scene:
    """A sandbox, and the runs that are looked at."""

    def __init__(self, directory: Path) -> None:
        settings = tomllib.loads((directory / "runbooks.toml").read_text(encoding="utf-8"))
        self.ui = f"{settings['temporal']['ui_url']}/namespaces/default/workflows"
        self._kubeconfig = Path(settings["kubernetes"]["kubeconfig"])

    def prepare(self) -> tuple[str, str, str]:
        """Have an incident that asks, an onboarding with its list, and a window to come; gives how they are named."""
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        # A customer of its own each time: nobody can be onboarded twice.
        customer = f"Acme Corp {secrets.token_hex(2)}"
        incident = self._started("p1-incident --set title='API down' --set mitigation=approve")
        onboarding = self._started(
            f"enterprise-onboarding --set name='{customer}' --set contact_name=Grace --set email=it@acme.example"
        )
        window = self._started(
            f"maintenance-window --set title='Database upgrade' --set starts_at='{tomorrow:%Y-%m-%d} 02:00 UTC' "
            f'--set ends_at=\'{tomorrow:%Y-%m-%d} 04:00 UTC\' --set tasks=\'[{{"id": "disk", "check": "Swap it"}}]\''
        )
        manifests.release(self._kubeconfig, "tensafe", manifests.BAD_IMAGE)
        self._until(incident, "decide mitigation-1")
        return incident, onboarding, window

    def clear(self, *runs: str) -> None:
        """Cancel what `prepare` has started, and take the release back."""
        for run in runs:
            typed(f"runbooks cancel {run}", COLUMNS[0])
        manifests.release(self._kubeconfig, "tensafe", manifests.GOOD_IMAGE)

    def _started(self, words: str) -> str:
        return str(_facts(f"runbooks start {words} --yes --json")["workflow_id"])

    def _until(self, run: str, what: str) -> None:
        deadline = time.monotonic() + _COMES_WITHIN
        while _facts(f"runbooks status {run} --json")["waiting_for"] != what:
            if time.monotonic() > deadline:
                raise NoSandbox(f"{run} does not come to {what!r}: see `runbooks status {run}`")
            time.sleep(_LOOK_SECONDS)


def _facts(line: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "starters", *shlex.split(line)[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


async def draw(browser: Browser, folder: Path, scene: Scene) -> None:
    """Write the pictures, and say where each is; what shows the open question first, since it doesn't wait for us."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    incident, onboarding, window = runs = await asyncio.to_thread(scene.prepare)
    asking = {
        "list": "runbooks list",
        "status": f"runbooks status {incident}",
        "question": f"runbooks approve {incident}",
    }
    others = {
        "list-all": "runbooks list --all",
        "board": f"runbooks status {onboarding}",
        "window": f"runbooks status {window}",
        "windows": "runbooks windows list",
        "plan": "runbooks start emergency-scale-up",
        "dry-run": "runbooks start rollback --set reason='Error rate spiked' --dry-run --wait",
        "catalogue": "runbooks catalogue",
        "fields": "runbooks catalogue p1-incident",
        "services": "runbooks services",
        "doctor": "runbooks doctor tensafe-server",
        "schedules": "runbooks schedules list",
    }
    try:
        for columns in COLUMNS:
            await _ui(browser, folder, scene, incident, columns)
        for commands in (asking, others):
            for columns in COLUMNS:
                await _terminal(browser, folder, commands, columns)
    finally:
        await asyncio.to_thread(scene.clear, *runs)


async def _terminal(browser: Browser, folder: Path, commands: dict[str, str], columns: int) -> None:
    tab = await browser.new_page(viewport={"width": columns * _COLUMN_PIXELS, "height": 100})
    tab.set_default_timeout(_WITHIN)
    for name, line in commands.items():
        shown = await asyncio.to_thread(typed, line, columns)
        await tab.set_content(page(line, shown, columns))
        await tab.screenshot(path=_named(folder, name, columns), full_page=True)
    await tab.close()


async def _ui(browser: Browser, folder: Path, scene: Scene, incident: str, columns: int) -> None:
    tab = await browser.new_page(viewport={"width": columns * _COLUMN_PIXELS, "height": 1000})
    tab.set_default_timeout(_WITHIN)
    # By its run ID: the UI finds no pages of a run by its workflow ID alone.
    history = str((await asyncio.to_thread(_facts, f"runbooks status {incident} --json"))["link"])
    for name, (place, waits_for) in {
        "ui-details": (f"{history.removesuffix('/history')}/user-metadata", "Which mitigation?"),
        "ui-list": (scene.ui, incident),
        "ui-run": (history, "Event History"),
    }.items():
        await tab.goto(place)
        await _reads(tab, waits_for)
        await tab.screenshot(path=_named(folder, name, columns))
    await tab.close()


async def _reads(tab: Page, text: str) -> None:
    """Wait until the page shows a text; the UI puts what is Markdown into frames, and draws those anew."""
    deadline = time.monotonic() + _COMES_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(Error):
            if any([await frame.get_by_text(text).count() for frame in tab.frames]):
                return
        await asyncio.sleep(_LOOK_SECONDS)
    raise NoSandbox(f"the Temporal UI does not show {text!r}")


def _named(folder: Path, name: str, columns: int) -> Path:
    file = folder / f"{name}-{columns}.png"
    print(file)
    return file


async def main(arguments: Sequence[str]) -> int:
    """Draw them; 1 after a sentence where there is no sandbox, or a run does not come to what is drawn."""
    state = environment.status(environment.DIRECTORY)
    if state is None or state.status != "ready":
        sys.stderr.write("no sandbox runs here: `make sandbox` starts one\n")
        return 1
    os.environ["RUNBOOKS_CONFIG"] = str(environment.DIRECTORY.resolve() / "runbooks.toml")
    os.environ["RUNBOOKS_GATEWAY__PRIVATE_KEY"] = f"file:{environment.DIRECTORY.resolve() / 'gateway.pem'}"
    async with async_playwright() as playwright:
        program = await asyncio.to_thread(ensure)
        browser = await playwright.chromium.launch(executable_path=str(program), args=list(OPTIONS), timeout=_WITHIN)
        try:
            folder = Path(arguments[0] if arguments else "var/screens")
            await draw(browser, folder, Scene(environment.DIRECTORY.resolve()))
        except NoSandbox as error:
            sys.stderr.write(f"{error}\n")
            return 1
        finally:
            await browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
