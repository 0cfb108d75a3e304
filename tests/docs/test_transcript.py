"""The transcript of the pages takes long; here is what can be said of it in seconds.

It would type every line that its pages have today. And its two checkouts, of what is here and not yet committed: each
command finds what runs in the checkout that it is typed in.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from docs.steps import ROOT
from tests.docs.shell import Failed, Person, Shell, page_lines
from tests.docs.typed_pages import PAGES
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

ROOMS = ("starters", "workers", "workflows", "activities", "audit", "records_schema", "libraries")


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_a_page_is_typed_in_its_order_or_done_by_a_test_that_is_there(page: str) -> None:
    for line, typed in zip(page_lines(page), PAGES[page], strict=True):
        assert line.startswith(typed.page), page
        assert not typed.elsewhere or (ROOT / typed.elsewhere).is_file(), line


class Checkout:
    """What a clone would have, and a demo in it whose Temporal can be reached."""

    def __init__(self, folder: Path, home: Path) -> None:
        kept = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *ROOMS]
        for name in subprocess.run(kept, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        self.temporal = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{self.temporal.getsockname()[1]}"
        file = settings_file(folder / "var/demo", address, "runbooks", World())
        text = file.read_text(encoding="utf-8").replace("tensafe-server", f"api-of-{folder.name}")
        file.write_text(text, encoding="utf-8")
        self.shell = Shell(Person(None, home), folder, print)
        self.runs(folder)

    def runs(self, program: Path) -> None:
        """Have `runbooks` be the program of a checkout."""
        self.shell.prelude = [f"export PYTHONPATH='{program}'", f'runbooks() {{ {sys.executable} -m starters "$@"; }}']


@pytest.fixture
def checkouts(tmp_path: Path) -> Iterator[tuple[Checkout, Checkout]]:
    with ExitStack() as stack:
        one, two = (Checkout(tmp_path / name, tmp_path) for name in ("one", "two"))
        for checkout in (one, two):
            stack.enter_context(checkout.temporal)
        yield one, two


def test_two_checkouts_side_by_side_find_their_own(checkouts: tuple[Checkout, Checkout]) -> None:
    one, two = checkouts
    for checkout, name in ((one, "api-of-one"), (two, "api-of-two")):
        told = checkout.shell.type("runbooks services", says=name)
        assert "using the demo's settings: var/demo/runbooks.toml" in told
    # The program of the one, typed in the other's folder: the folder counts.
    two.runs(one.shell.folder)
    two.shell.type("runbooks services", says="api-of-two")
    two.runs(two.shell.folder)
    two.temporal.close()
    two.shell.type("runbooks services", ends=(2,), says="no settings")
    with pytest.raises(Failed, match="expected exit code 0"):
        two.shell.type("runbooks services")
