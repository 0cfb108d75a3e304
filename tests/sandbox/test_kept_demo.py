"""A demo that is kept: it is found, and what it has proved outlives the next one."""

from pathlib import Path

import pytest

from sandbox import __main__ as command
from sandbox import environment
from sandbox.demo import _put_aside
from sandbox.supervisor import State


def test_evidence_of_an_earlier_demo_is_kept_under_its_own_name(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    (demo / "evidence").mkdir(parents=True)
    (demo / "evidence" / "logs.txt").write_text("logs", encoding="utf-8")
    for name in ("INC-1.html", "evidence-INC-1.bundle.zip", "audit-public.pem"):
        (demo / name).write_text(name, encoding="utf-8")
    kept = _put_aside(demo)
    assert kept is not None
    assert kept.parent == tmp_path / "demo-earlier"
    assert {file.name for file in kept.iterdir()} == {
        "INC-1.html",
        "evidence-INC-1.bundle.zip",
        "audit-public.pem",
        "evidence",
    }
    assert (kept / "evidence" / "logs.txt").read_text(encoding="utf-8") == "logs"
    assert _put_aside(demo) is None


def test_a_demo_that_proved_nothing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "audit-public.pem").write_text("key", encoding="utf-8")
    assert _put_aside(tmp_path) is None
    assert (tmp_path / "audit-public.pem").exists()


@pytest.mark.parametrize(("alive", "meant"), [(("var/demo",), "var/demo"), ((), "var/sandbox")])
def test_down_and_status_mean_what_runs_here(
    monkeypatch: pytest.MonkeyPatch, alive: tuple[str, ...], meant: str
) -> None:
    class Running(State):
        @property
        def alive(self) -> bool:
            return True

    monkeypatch.setattr(
        environment,
        "status",
        lambda place: Running(status="ready", pid=1, created=0) if str(place) in alive else None,
    )
    assert command._meant(None) == [Path(meant)]
    assert command._meant(Path("elsewhere")) == [Path("elsewhere")]
