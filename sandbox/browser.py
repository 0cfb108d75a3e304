"""Finds a Chromium for the tests of what people see, and gets one where there is none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from sandbox.toolchain.errors import ToolchainError

_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
_VERSION_WITHIN = 30.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Chromium's own sandbox doesn't work for root.
    *(("--no-sandbox",) if _ROOT else ()),
)
"""What to start it with: nothing in the background, no calls home."""


def find() -> Path | None:
    """Find one: named by `RUNBOOKS_CHROMIUM`, on PATH, or installed by Playwright.

    Raises:
        ToolchainError: the named one is not there.

    """
    if named := os.environ.get("RUNBOOKS_CHROMIUM"):
        if found := shutil.which(named):
            return Path(found)
        raise ToolchainError(
            f"RUNBOOKS_CHROMIUM is {named}, which is not a program: correct it, or unset it to have one installed"
        )
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    return _playwrights()


def ensure(told: Callable[[str], None] = lambda _: None) -> Path:
    """Find one, else install it: by Playwright, or as root on Debian by apt.

    Raises:
        ToolchainError: none can be had; says what to do.

    """
    if (found := find()) and _runs(found):
        return found
    for command in _installers():
        told(f"no Chromium that runs: {' '.join(command)}")
        if subprocess.run(command, check=False).returncode == 0 and (found := find()) and _runs(found):
            return found
    raise ToolchainError(
        "no Chromium that runs: install it (`apt-get install chromium`, or `playwright install --with-deps chromium`), "
        "or name one in RUNBOOKS_CHROMIUM"
    )


def _runs(program: Path) -> bool:
    """Tell whether it starts: Playwright's own does not where the system's libraries are missing."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, timeout=_VERSION_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _installers() -> list[list[str]]:
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and _ROOT:
        commands += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    return commands


def _playwrights() -> Path | None:
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  slow, and rarely needed
    except ImportError:
        return None

    def path() -> Path:
        with sync_playwright() as playwright:
            return Path(playwright.chromium.executable_path)

    # In a thread of its own: Playwright refuses where an event loop runs, as it does in tests.
    with ThreadPoolExecutor(max_workers=1) as pool:
        found = pool.submit(path).result()
    return found if found.is_file() else None


def main() -> int:
    """Get one, and say which."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        console.print(f"Chromium: {ensure(console.print)}")
    except ToolchainError as error:
        console.print(f"[red]{error}[/]")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
