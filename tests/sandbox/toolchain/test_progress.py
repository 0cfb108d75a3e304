"""A bar says how long something will take, and what takes long says so beside a terminal."""

import time
from types import SimpleNamespace

import pytest

from sandbox.probes import wait_until
from sandbox.toolchain import progress


@pytest.mark.parametrize(
    ("total", "done", "expected", "elapsed", "line"),
    [
        (0, 0, 0, 12, "it: 12 s"),
        (0, 0, 40, 12, "it: 12 s of about 40 s"),
        (0, 0, 40, 50, "it: 50 s"),
        (100, 0, 300, 2, "it: 0 %, 2 s of about 300 s"),
        (100, 10, 300, 2, "it: 10 %, 2 s of about 300 s (a package)"),
        (100, 50, 300, 100, "it: 50 %, 100 s of about 200 s (a package)"),
        (100, 120, 300, 290, "it: 100 %, 290 s of about 290 s (a package)"),
    ],
)
def test_a_bar_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, *, total: float, done: float, expected: float, elapsed: float, line: str
) -> None:
    bar = progress.Bar("it", total, expected)
    monkeypatch.setattr(progress.Bar, "elapsed", elapsed)
    if done:
        bar.advance(done, "a package")
    assert bar.line(cells=False) == line


def test_what_takes_long_says_so_beside_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))
    with progress.Bar("quick"):
        pass
    with progress.Bar("slow") as slow:
        now[0] = 3.0
        wait_until(lambda: slow.shown)
    assert capsys.readouterr().err.splitlines() == ["slow: 3 s", "slow: done after 3 s"]
