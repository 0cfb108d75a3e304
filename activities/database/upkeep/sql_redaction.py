"""SQL without its data: what a query does may stand in a history, whose data it is about may not.

Literals become `?`, comments go. Where the text can't be read for certain (it is cut off, or its quoting depends on the
session's settings), the rest of it goes.
"""

import re
from functools import cache

_TOKENS = r"""
    (?P<comment>--[^\n]*|/\*)
  | (?P<quoted>(?:\b(?:[eEbBxXnN]|[uU]&))?')
  | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
  | (?P<parameter>\$\d+)
  | (?P<name>"(?:[^"]|"")*"|[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
  | (?P<open>")
  | (?P<number>(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)?)
  | (?P<space>\s+)
  | (?P<other>.)
"""
_STRING = re.compile(r"((?:[^']|'')*)'")
_ESCAPED = re.compile(r"((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_CUT = "…"


@cache
def _tokens() -> re.Pattern[str]:
    """Compile when a text is read: it takes as long as importing ten modules, and most who import this read none."""
    return re.compile(_TOKENS, re.VERBOSE | re.DOTALL)


def redacted(text: str, longest: int = 200) -> str:
    """Give a query's text without literals and comments, on one line, and no longer than told."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        found = _tokens().match(text, at)
        if found is None:  # can't be: `other` takes anything
            break
        part, at = _part(text, found)
        parts.append(part)
    line = " ".join("".join(parts).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + _CUT


def _part(text: str, found: re.Match[str]) -> tuple[str, int]:
    """Give what stands for a token, and where to go on."""
    kind, part, end = found.lastgroup, found.group(), found.end()
    rest = (_CUT, len(text))
    if kind == "comment":
        return (" ", _comment_end(text, end)) if part == "/*" else (" ", end)
    if kind == "dollar":
        closing = text.find(part, end)
        return ("?", closing + len(part)) if closing >= 0 else rest
    if kind == "quoted":
        return _quoted(text, part, end) or ("?" + _CUT, len(text))
    if kind == "open":  # a quoted name that is cut off
        return rest
    if kind == "number":
        return "?", end
    return (" " if kind == "space" else part), end


def _quoted(text: str, opening: str, end: int) -> tuple[str, int] | None:
    """Skip a string; None where its end isn't certain."""
    escaped = opening[0] in "eE"
    closed = (_ESCAPED if escaped else _STRING).match(text, end)
    if closed is None:
        return None
    # With standard_conforming_strings off a backslash would escape in these too, so the string might end elsewhere.
    if not escaped and "\\" in closed.group(1):
        return None
    return "?", closed.end()


def _comment_end(text: str, at: int) -> int:
    """Find the end of a comment; they nest."""
    depth = 1
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark.group() == "/*" else -1
        if not depth:
            return at + mark.end()
    return len(text)
