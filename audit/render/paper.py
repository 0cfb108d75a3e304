"""Sets a PDF with fonts that come with the package: the same page on every machine, in a container without fonts too.

Latin, Greek, Cyrillic and symbols by DejaVu Sans, with which the charts are measured; Chinese, Japanese and Korean, the
scripts of India and South East Asia, and emoji by Noto. A letter that none of them has is named on the page.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources, util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_otc")
_CJK = "Noto Sans CJK"
_KANA, _HANGUL = re.compile("[\u3040-\u30ff\uff66-\uff9f]"), re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_SHOWN = 12
# What has no look of its own: marks that join and turn, selectors of a variant, spaces. Whatever this Python's tables
# don't know yet has one: an emoji that is newer than they are, a symbol of a font's own (`Co`).
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def typeset(template: str, data: Mapping[str, object]) -> bytes:
    """Fill a template of this package with data.

    The template gets `fonts`, the families in the order in which they are asked, and `lost`: a sentence on what none of
    them can show, or nothing.
    """
    import typst  # noqa: PLC0415  a quarter of a second that other commands need not wait

    text = "".join(dict.fromkeys("".join(_strings(data))))
    filled = {**data, "fonts": families(text), "lost": lost(text)}
    with TemporaryDirectory() as folder:
        # By themselves: beside them lies a font of boxes, which has every letter.
        for font in _dejavu():
            shutil.copy(font, folder)
        file = Path(folder) / "page.typ"
        file.write_bytes(resources.files("audit.render").joinpath(template).read_bytes())
        made: bytes = typst.compile(
            str(file),
            format="pdf",
            sys_inputs={"data": json.dumps(filled)},
            font_paths=[folder, *map(str, _folders())],
            ignore_system_fonts=True,
        )
    return made


def families(text: str) -> list[str]:
    """Name the fonts; one letter of Chinese, Japanese and Korean looks different in each, so that of the text."""
    cjk = "JP" if _KANA.search(text) else "KR" if _HANGUL.search(text) else "SC"
    others = sorted({name for font in _noto() for name in _names(font)} - {"Noto Sans"})
    return ["DejaVu Sans", "Noto Sans", f"{_CJK} {cjk}", *others, "Libertinus Serif"]


def lost(text: Iterable[str]) -> str:
    """Say which letters can't be shown; empty where all can."""
    missing = _shows_itself(text) - _letters(tuple(_dejavu()))
    missing = missing and missing - _letters(tuple(_noto()))
    if not missing:
        return ""
    named = [f"U+{ord(letter):04X}" for letter in sorted(missing)]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    told = ", ".join(named[:_SHOWN])
    return f"Letters that the fonts of this page don't have: {told}{more}. HTML and JSON have them."


def of_charts(text: str) -> list[str]:
    """Name the families in which matplotlib shows a text, in the order in which they are asked; it knows them then."""
    if _shows_itself(text) <= _letters(tuple(_dejavu())):
        return ["DejaVu Sans"]
    return ["DejaVu Sans", *_known_to_charts()]


@cache
def _known_to_charts() -> tuple[str, ...]:
    from matplotlib import font_manager  # noqa: PLC0415  as below

    for file in _noto():
        font_manager.fontManager.addfont(file)
    # Of a collection it opens the first.
    return tuple(dict.fromkeys(font_manager.get_font(str(file)).family_name for file in _noto()))


def _shows_itself(text: Iterable[str]) -> set[str]:
    return {letter for letter in text if unicodedata.category(letter) not in _UNSEEN and not _SELECTORS.match(letter)}


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _strings(value)


@cache
def _dejavu() -> list[Path]:
    import matplotlib as mpl  # noqa: PLC0415  slow, and only for this

    return sorted((Path(mpl.get_data_path()) / "fonts/ttf").glob("DejaVuSans*.ttf"))


@cache
def _folders() -> list[Path]:
    found = [util.find_spec(package) for package in _PACKAGES]
    return [Path(spec.origin).parent for spec in found if spec is not None and spec.origin is not None]


@cache
def _noto() -> list[Path]:
    return sorted(file for folder in _folders() for file in folder.glob("*.tt[fc]"))


@cache
def _letters(fonts: tuple[Path, ...]) -> frozenset[str]:
    found: set[str] = set()
    for file in fonts:
        with _opened(file) as (font, *_):
            found |= {chr(code) for code in font.getBestCmap()}
    return frozenset(found)


@cache
def _names(file: Path) -> tuple[str, ...]:
    """Give the families of a file; of a collection's, those of one width for all languages."""
    with _opened(file) as fonts:
        return tuple(name for font in fonts if "Mono" not in (name := str(font["name"].getBestFamilyName())))


@contextmanager
def _opened(file: Path) -> Iterator[list[Any]]:
    from fontTools.ttLib import TTCollection, TTFont  # noqa: PLC0415  as above

    if file.suffix == ".ttc":
        with TTCollection(file, lazy=True) as fonts:
            yield list(fonts.fonts)
    else:
        with TTFont(file, lazy=True) as font:
            yield [font]
