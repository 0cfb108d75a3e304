"""Text of others fits, and is whole."""

from hypothesis import given
from hypothesis import strategies as st

from starters.slack import limits


@given(st.text(max_size=6000), st.integers(2, 4000))
def test_text_of_others_fits_and_is_whole(text: str, most: int) -> None:
    kept = limits.mrkdwn(text, most)
    assert limits.size(kept) <= max(most, 1)
    assert "<" not in kept
    assert ">" not in kept
    assert not kept.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&")
    assert limits.size(limits.cut(text, most)) <= most
    assert limits.size(limits.plain(text, most)["text"]) <= most
