"""Each way out has one door: one set of text that is up to no good, and every way out that people read."""

import ast
import contextlib
import io
import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from activities.messages.chat.chat import escaped
from activities.records.alerts import Alert
from audit.text import plain, shown
from starters.cli import people
from starters.cli.view import timeline_table
from starters.webhook import summary
from workers.settings import ObservabilitySettings
from workers.telemetry import configure_logging
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Timeline

ROOT = Path(__file__).parents[2]
OURS = ("activities", "audit", "starters", "workers", "workflows")
AT = datetime(2026, 2, 4, 3, tzinfo=UTC)
CANARY = (
    "<!channel> <@U1> <https://evil.example|acknowledge here> <script>alert(1)</script> <img src=x onerror=alert(1)> "
    "[click](http://evil.example) ![](http://evil.example/x.png) `code` **bold** {{7*7}} =cmd|' /C calc'!A1 <5%> "
    "\x1b[31mred\x1b]8;;http://evil.example\x07link\x07 \x9b2J \u202etxet\u202c \u2066x\u2069 \u200b "
    "\ufeff\x00\x7f\r\n# heading"
)
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    st.sampled_from("\x1b\x9b\x00<>&|[]()`*\u202e\u2066\n#!")
)


@given(any_text)
def test_nothing_is_obeyed_reordered_or_unseen(text: str) -> None:
    assert not OBEYED.search(shown(text))
    assert shown(shown(text)) == shown(text)


@given(any_text)
def test_chat_sees_no_mention_and_no_link(text: str) -> None:
    assert not re.search("[<>]", escaped(text))
    assert not OBEYED.search(escaped(text))


@given(any_text)
def test_markdown_has_no_markup_of_others(text: str) -> None:
    line = plain(text)
    assert "\n" not in line
    assert not OBEYED.search(line)
    assert not re.search(r"[<>]|(?<!\\)(?:\\\\)*[`*\[\]|#!~]", line)


def test_a_runs_details_in_temporals_ui() -> None:
    timeline = Timeline()
    timeline.add(AT, "note", CANARY, who=CANARY)
    timeline.add(AT, "phase", CANARY)
    details = timeline.details("### heading")
    assert not re.search(r"<(?!/?\w+>$)|(?<!\\)\[click|(?<!\\)!\\?\[|(?<!\\)`code", details)
    assert not OBEYED.search(details)


def test_the_summary_and_details_of_an_alert() -> None:
    alert = Alert(
        source="alertmanager",
        fingerprint="f",
        name=CANARY,
        starts_at=AT,
        labels={CANARY: CANARY},
        annotations={"summary": CANARY, "runbook_url": f"http://x/> [y](http://evil) {CANARY}"},
        generator_url=f"http://x/{CANARY}",
    )
    line, details = summary.summary("P1", alert), summary.details(alert)
    for said in (line, details):
        assert not OBEYED.search(said)
        assert "<script" not in said
    assert "\n" not in line
    assert not re.search(r"(?<!\\)\[", line)
    outside_code = re.sub("`[^`]*`", "", details)
    assert not re.search(r"\[(?!Source\]|Runbook\])", re.sub(r"\(<[^<>]*>\)", "()", outside_code))


def printed(*things: object) -> str:
    # Not `console.file = …`: what it was is stdout of this test, and to set it again keeps the console there for good.
    with contextlib.redirect_stdout(io.StringIO()) as file:
        for thing in things:
            people.console.print(thing, markup=False)
    return file.getvalue()


def test_the_terminal() -> None:
    timeline = Timeline()
    timeline.add(AT, "problem", CANARY, who=CANARY)
    status = RunStatus.model_construct(entries=timeline.entries)  # type: ignore[call-arg]  # no more is shown
    raw = CANARY.replace("\r\n", " ")
    out = printed(timeline_table(status), raw, Text(raw, style=f"link http://x/{raw}"), [CANARY])
    assert not OBEYED.search(out)
    assert "␛" in out
    assert "⟨U+202E⟩" in out


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_log(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging(ObservabilitySettings.model_validate({"log_format": log_format}))
        capsys.readouterr()
        structlog.get_logger("canary").warning(CANARY, alert=CANARY, labels={CANARY: [CANARY]})
        logging.getLogger("canary").warning("foreign %s", CANARY)
        out = capsys.readouterr().err
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    own = re.sub("\x1b\\[[0-9;]*m", "", out) if log_format == "console" else out
    assert not OBEYED.search(own.replace("\\u001b", "\x1b") if log_format == "json" else own)
    assert out.count("\n") == 2
    if log_format == "json":
        assert all(json.loads(line)["event"] for line in out.splitlines())


def calls(name: str, *rooms: str) -> list[tuple[str, ast.Call]]:
    return [
        (str(file.relative_to(ROOT)), node)
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


@pytest.mark.parametrize("message", ["PostMessage", "ScheduleMessage"])
def test_nothing_else_speaks_to_chat(message: str) -> None:
    found = calls(message, "workflows")
    assert found
    for place, call in found:
        (text,) = [keyword.value for keyword in call.keywords if keyword.arg == "text"]
        assert isinstance(text, ast.Call), place
        assert isinstance(text.func, ast.Name), place
        assert text.func.id == "escaped", place


def test_nothing_else_prints_on_a_terminal() -> None:
    assert {place for place, _ in calls("Console", *OURS)} == {"starters/cli/terminal.py"}
    assert not calls("print", *OURS)
