"""A document that both we and people write: sections of ours between markers, everything else theirs.

A marker holds a digest of what we wrote. A section that still fits its digest is written anew; one that doesn't was
edited by somebody, and one that is gone was removed by somebody: both stay as people want them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_MARKED = re.compile(
    r"^<!-- runbooks:begin (?P<name>[a-z-]+) (?P<digest>[0-9a-f]{64}) -->\n"
    r"(?P<text>(?:(?!^<!-- runbooks:(?:begin|end) ).*\n)*?)"
    r"^<!-- runbooks:end (?P=name) -->$",
    re.MULTILINE,
)
_HEADER = re.compile(r"^<!-- runbooks:postmortem (?P<id>\S+) -->$", re.MULTILINE)


class NotOurs(ValueError):  # noqa: N818  says what the file is
    """The file that is there is none of this document's."""


@dataclass(frozen=True)
class Section:
    """A part that is ours; or, where it has no name, text that is written once and then belongs to people."""

    name: str
    text: str


@dataclass
class Merged:
    """A document, and what became of its sections."""

    text: str
    written: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def compose(document_id: str, sections: Sequence[Section]) -> str:
    """Write the document for the first time."""
    parts = [f"<!-- runbooks:postmortem {document_id} -->"]
    parts += [_marked(section) if section.name else section.text.strip("\n") for section in sections]
    return "\n\n".join(parts) + "\n"


def merge(existing: str, document_id: str, sections: Sequence[Section]) -> Merged:
    """Write our sections anew in a document that is there, and leave everything else as it is.

    Raises:
        NotOurs: it has no mark of ours, or is about something else.

    """
    header = _HEADER.search(existing)
    found = list(_MARKED.finditer(existing))
    if header is None and not found:
        raise NotOurs("it has no section that `runbooks audit postmortem` wrote")
    if header is not None and header["id"] != document_id:
        raise NotOurs(f"it is about {header['id']}")
    ours = {section.name: section for section in sections if section.name}
    merged = Merged("")
    parts, end = [], 0
    for match in found:
        parts.append(existing[end : match.start()])
        parts.append(_anew(match, ours.get(match["name"]), merged))
        end = match.end()
    merged.text = "".join(parts) + existing[end:]
    there = {match["name"] for match in found}
    merged.removed = [name for name in ours if name not in there]
    return merged


def _anew(match: re.Match[str], section: Section | None, merged: Merged) -> str:
    if _digest(match["text"]) != match["digest"]:
        merged.edited.append(match["name"])
        return match[0]
    if section is None:
        return match[0]
    merged.written.append(section.name)
    return _marked(section)


def _marked(section: Section) -> str:
    text = section.text.strip("\n") + "\n"
    return f"<!-- runbooks:begin {section.name} {_digest(text)} -->\n{text}<!-- runbooks:end {section.name} -->"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
