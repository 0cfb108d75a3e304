"""What a run says of its alert is bounded in bytes, and nothing in it is read as Markdown."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from activities.records.alerts import Alert
from starters.webhook.summary import DETAILS_BYTES, SUMMARY_BYTES, clipped, details, summary


def alert(text: str = "API down", **labels: str) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint="f0",
        name="Down",
        labels=labels,
        annotations={"summary": text, "runbook_url": "https://runbooks.example/down"},
        generator_url="javascript:alert(1)",
        starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC),
    )


@given(st.text(max_size=300), st.integers(20, 400))
def test_a_text_is_cut_to_the_bytes_of_its_json_and_no_further(text: str, limit: int) -> None:
    cut = clipped(text, limit)
    assert len(json.dumps(cut, ensure_ascii=False).encode(errors="replace")) <= limit
    if cut != text:
        assert cut.endswith("…")
        assert text.startswith(cut[:-1])
        longer = f"{text[: len(cut)]}…"
        assert len(json.dumps(longer, ensure_ascii=False).encode(errors="replace")) > limit


def test_the_last_byte_is_used() -> None:
    assert clipped("a" * 100, 30) == "a" * 25 + "…"  # two quotes, and three bytes for the last


def test_both_fit_whatever_the_alert_says() -> None:
    large = alert("\U0001f525" * 4_000, **{f"label{number}": "\x07" * 200 for number in range(60)})
    for text, limit in ((summary("P1", large), SUMMARY_BYTES), (details(large), DETAILS_BYTES)):
        assert len(json.dumps(text, ensure_ascii=False).encode()) <= limit


def test_labels_stand_as_code_in_order_and_only_real_links_are_links() -> None:
    told = details(alert("it `is` down\n# Down", severity="P1", pod="a`b"))
    assert told.splitlines()[0] == "**`it  is  down # Down`**"
    assert told.index("- `pod`: `a b`") < told.index("- `severity`: `P1`")
    assert "[Runbook](<https://runbooks.example/down>)" in told
    assert "javascript" not in told
