"""A PDF shows every letter on a machine without fonts, or says which it can't."""

import ctypes
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdfium2
import pytest
import typst
from pypdfium2 import raw

from activities.messages.chat.pictures import Picture, drawn
from audit.render import paper, report, show
from audit.render.chapters import Told
from tests.audit.render.months import month
from tests.audit.render.shown import NOW
from tests.audit.stories import story

LATIN = "Ünïcödé Żółć Ελλάδα Привет שלום"
FURTHER = "API が落ちた 支付中断 결제 실패 🔥🚨✅❌ ไทย हिन्दी ბ"


def fonts(pdf: bytes, text: str) -> dict[str, str]:
    """Which font of the PDF each of these letters is set in, as PDFium sees it."""
    found: dict[str, str] = {}
    for page in pypdfium2.PdfDocument(pdf):
        shown = page.get_textpage()
        for index in range(shown.count_chars()):
            letter = chr(raw.FPDFText_GetUnicode(shown, index))
            if letter in text and not letter.isspace():
                name = ctypes.create_string_buffer(200)
                raw.FPDFText_GetFontInfo(shown, index, name, 200, None)
                found[letter] = name.value.decode()
    return found


def page(title: str) -> bytes:
    return show.pdf([Told(story=story(1).model_copy(update={"title": title}))], NOW)


def said(pdf: bytes) -> str:
    text = "".join(one.get_textpage().get_text_range() for one in pypdfium2.PdfDocument(pdf))
    return text.replace("\u200b", "").replace("\ufffe", "")


@pytest.fixture(autouse=True)
def without_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typst sees none of the machine's own."""
    compiles = typst.compile

    def bare(*arguments: Any, **options: Any) -> Any:
        return compiles(*arguments, **{**options, "ignore_system_fonts": True})

    monkeypatch.setattr(typst, "compile", bare)


def test_letters_of_many_scripts_are_shown_in_a_font_that_has_them() -> None:
    made = page(LATIN + " " + FURTHER)
    found = fonts(made, LATIN + FURTHER)
    assert all("DejaVu" in found[letter] for letter in LATIN if not letter.isspace())
    for letter in FURTHER.replace(" ", "").replace("API", ""):
        if letter in found:  # PDFium tells a cluster of letters by its first
            assert "Noto" in found[letter] or "DejaVu" in found[letter], (letter, found[letter])
            assert paper.lost(letter) == ""
    assert {"が", "支", "결", "✅", "ไ"} <= found.keys()
    assert b"NotoEmoji" in made
    assert "Letters that" not in said(made)


@pytest.mark.parametrize(
    ("text", "family"), [("支付中断", "SC"), ("支付が落ちた", "JP"), ("결제 支付", "KR"), ("plain", "SC")]
)
def test_a_letter_looks_as_in_the_language_of_the_text(text: str, family: str) -> None:
    assert f"Noto Sans CJK {family}" in paper.families(text)
    found = fonts(page(text), "支")
    assert all(f"NotoSansCJK{family.lower()}-Regular" in name for name in found.values())


def test_what_no_font_has_is_named_on_the_page() -> None:
    made = page("Glyph \U00013000 and \U00010330")
    assert "Letters that the fonts of this page don't have: U+10330, U+13000. HTML and JSON have them." in said(
        made
    ).replace("\r\n", " ")
    told = month()
    told = told.model_copy(update={"month": told.month.model_copy(update={"name": "2026-11 \U00013000"})})
    assert "don't have: U+13000." in said(report.pdf(told)).replace("\r\n", " ")


def test_a_letter_that_python_does_not_know_yet_is_shown_or_named_as_others_are() -> None:
    newer, newest, private = "\U0001fae8", "\U0001fae9", "\uf8ff"  # emoji of Unicode 15 and 16, and a logo
    assert paper.of_charts(newer) != ["DejaVu Sans"]
    made = said(page(f"{newer}{newest}{private}")).replace("\r\n", " ")
    assert "don't have: U+F8FF, U+1FAE9." in made


def test_what_has_no_look_of_its_own_is_not_missed() -> None:
    assert paper.lost("a\u200b\u200d\ufe0f\u202e\u00a0\u3000\n") == ""
    assert paper.lost("".join(map(chr, range(0x10330, 0x10344)))).endswith("and 8 more. HTML and JSON have them.")


def test_a_chart_shows_the_letters_that_a_page_shows() -> None:
    """As PNG in a chat: nobody else's fonts can help, and what none of ours has is a box, without a warning."""
    now = datetime(2026, 2, 4, 3, tzinfo=UTC)

    def chart(title: str) -> bytes:
        return drawn(Picture(title=title, unit="%", begin=now - timedelta(hours=1), end=now, values=[], longest_gap=60))

    assert paper.of_charts(LATIN) == ["DejaVu Sans"]
    assert {"Noto Sans CJK JP", "Noto Emoji"} <= {*paper.of_charts(FURTHER)}
    # A box is the same for all letters of a script.
    assert chart("\U00013000") == chart("\U00013001")
    for one, other in ("がぎ", "支付", "결제", "🔥🚨", "ไท", "हन"):
        assert chart(one) != chart(other), one
