"""Finds a Chromium for the tests of what people see, and gets one where there is none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from sandbox.toolchain.errors import ToolchainError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Chromium's own sandbox doesn't work for root.
    *(("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()),
)
"""What to start it with: nothing in the background, no calls home."""


def find() -> Path | None:
    """Find one: named by `RUNBOOKS_CHROMIUM`, on PATH, or installed by Playwright."""
    if named := os.environ.get("RUNBOOKS_CHROMIUM"):
        return Path(named)
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    return _playwrights()


def ensure(told: Callable[[str], None] = lambda _: None) -> Path:
    """Find one, else install it: by Playwright, or as root on Debian by apt.

    Raises:
        ToolchainError: none can be had; says what to do.

    """
    if found := find():
        return found
    for command in _installers():
        told(f"no Chromium found: {' '.join(command)}")
        if subprocess.run(command, check=False).returncode == 0 and (found := find()):
            return found
    message = "no Chromium: install it (`apt-get install chromium`), or name one in RUNBOOKS_CHROMIUM"
    raise ToolchainError(message)


def _installers() -> list[list[str]]:
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        commands += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    return commands


def _playwrights() -> Path | None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  slow, and rarely needed

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def main() -> int:
    """Get one, and say which."""
    console = Console(highlight=False)
    try:
        console.print(f"Chromium: {ensure(console.print)}")
    except ToolchainError as error:
        console.print(f"[red]{error}[/]")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
