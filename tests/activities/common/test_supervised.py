"""The script that a program is run by: it ends as the program does, and all of it ends when it is told to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from activities.common import supervised


def start(*command: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-I", "-S", supervised.__file__, *command]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -15 $$", -9)])
def test_it_ends_as_its_program_did(script: str, code: int) -> None:
    """By SIGTERM, which ends all of its group by SIGKILL, too."""
    started = start("sh", "-c", script)
    started.communicate(timeout=60)
    assert started.returncode == code


def test_a_program_that_can_not_be_started_is_named() -> None:
    started = start("/no/such/program", "--secret")
    _, said = started.communicate(timeout=60)
    assert (started.returncode, said) == (127, "cannot run /no/such/program (No such file or directory)\n")


def test_told_to_end_it_takes_with_it_what_its_program_has_started(tmp_path: Path) -> None:
    started = start("sh", "-c", "sleep 60 & echo $!; wait")
    assert started.stdout is not None
    child = int(started.stdout.readline())
    os.kill(started.pid, signal.SIGTERM)
    # The pipe closes only when the last one that holds it, the program's own child, has ended.
    assert started.communicate(timeout=60) == ("", "")
    assert started.returncode == -9
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
