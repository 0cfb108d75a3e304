"""The two reports of a compliance package as PDF: controls with their evidence, and what was measured of encryption.

The same facts make the same bytes: no time of making is in them.

`python -m audit.render.compliance report|encryption` takes facts as JSON and gives the PDF.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from audit.compliance import Control, Facts, Measured
from audit.render.paper import typeset
from audit.text import counted

_RANK_SHOWN, _SECOND = 12, 19


@dataclass
class _Part:
    title: str
    level: int = 2
    sentences: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    empty: str = ""
    note: str = ""


def report(facts: Facts) -> bytes:
    """Set the report of controls."""
    parts = [_overview(facts), _gaps(facts), *_controls(facts), *_populations(facts), _access(facts)]
    by = "given for this audit" if facts.seed_given else "made from framework and period, as none was given"
    what = (
        f"{facts.framework.scope}. Period: {facts.start} to {facts.end}, both days included, UTC. "
        f"Access and encryption are those of {facts.looked_on}."
    )
    says = (
        "This report says which evidence one system, durable runbooks, has of each control, and which it lacks. "
        "It does not say that a control is met: that is for an auditor to say, who also looks where this system "
        "doesn't reach."
    )
    draws = (
        f"Samples were drawn from whole populations by the seed {facts.seed!r} ({by}): rank is the SHA-256 of "
        "SEED/POPULATION/ID, the smallest are taken. README.txt has the commands that draw them again."
    )
    sentences = [what, says, draws]
    return _set(f"{facts.framework.title}: evidence", sentences, parts)


def encryption(facts: Facts) -> bytes:
    """Set the report of encryption."""
    states = Counter(one.state for one in facts.encryption)
    counts = ", ".join(
        f"{state}: {states[state]}" for state in ("encrypted", "weak", "not encrypted", "could not look")
    )
    means = (
        "Each line was measured: by a TLS handshake, or by asking the system that keeps the data. Where neither was "
        "possible it says “could not look”, which is no statement on encryption."
    )
    sentences = [f"Looked at on {facts.looked_on} (UTC). {counts}.", means]
    groups = dict.fromkeys(one.group for one in facts.encryption)
    parts = [_measured(group, [one for one in facts.encryption if one.group == group]) for group in groups]
    return _set(f"Encryption status, {facts.looked_on}", sentences, parts)


def _set(title: str, sentences: list[str], parts: Iterable[_Part]) -> bytes:
    data: dict[str, object] = {"title": title, "sentences": sentences, "parts": [asdict(one) for one in parts]}
    return typeset("compliance.typ", data)


def _overview(facts: Facts) -> _Part:
    rows = [[one.id, one.title, _has(facts, one), facts.standing(one)] for one in facts.framework.controls]
    return _Part(
        "Controls at a glance",
        heads=["Control", "What it is about", "Evidence", "In this system"],
        columns=["auto", "1.6", "1.6", "1"],
        right=[False] * 4,
        rows=rows,
    )


def _has(facts: Facts, control: Control) -> str:
    items = sum(facts.population(name).count for name in control.populations)
    kinds = counted(len(control.populations), "population")
    files = f", {counted(len(control.exhibits), 'file')}" if control.exhibits else ""
    return f"{counted(items, 'item')} in {kinds}{files}" if control.populations else files.removeprefix(", ") or "none"


def _gaps(facts: Facts) -> _Part:
    rows = [[one.exhibit, one.source, one.why] for one in facts.gaps]
    return _Part(
        "What could not be looked at",
        heads=["File", "Source", "Why"],
        columns=["auto", "1", "2"],
        right=[False] * 3,
        rows=rows,
        empty="Every source answered.",
    )


def _controls(facts: Facts) -> Iterable[_Part]:
    yield _Part("Control by control")
    for one in facts.framework.controls:
        sentences = [f"{facts.standing(one).capitalize()}."]
        if one.exhibits:
            sentences.append(f"Files: {', '.join(one.exhibits)}.")
        lacking = facts.lacking(one)
        if lacking:
            sentences.append(f"Could not be looked at: {', '.join(gap.source for gap in lacking)}.")
        if one.missing:
            sentences.append(f"Not shown by this system: {one.missing}.")
        rows = [
            [of.title, of.file, str(of.count), str(len(of.samples))]
            for of in (facts.population(name) for name in one.populations)
        ]
        note = (
            "A count of 0 means that nothing of the kind happened in the period: then it shows no operation."
            if any(row[2] == "0" for row in rows)
            else ""
        )
        yield _Part(
            f"{one.id} {one.title}",
            level=3,
            sentences=sentences,
            heads=["Population", "File", "Count", "Drawn"],
            columns=["1.4", "1.4", "auto", "auto"],
            right=[False, False, True, True],
            rows=rows,
            note=note,
        )


def _populations(facts: Facts) -> Iterable[_Part]:
    yield _Part("Samples")
    for one in facts.populations:
        rows = [[s.rank[:_RANK_SHOWN], s.id, s.at[:_SECOND].replace("T", " "), s.who, s.what] for s in one.samples]
        yield _Part(
            f"{one.title}: {len(one.samples)} of {one.count}",
            level=3,
            sentences=[f"Source: {one.source}. All of it: {one.file}."],
            heads=["Rank", "ID", "When (UTC)", "Who", "What"],
            columns=["auto", "0.9", "1.1", "1", "2"],
            right=[False] * 5,
            rows=rows,
            empty="Nothing in the period.",
        )


def _access(facts: Facts) -> _Part:
    rows = [[source, str(count)] for source, count in facts.access.items()]
    return _Part(
        "Access review",
        heads=["Source", "Rows"],
        columns=["1", "auto"],
        right=[False, True],
        rows=rows,
        sentences=["Who has what, and when it was last used, is in access-review.csv, a row each."],
        empty="No source could be looked at.",
    )


def _measured(group: str, found: list[Measured]) -> _Part:
    rows = [[one.what, one.state, one.found] for one in found]
    return _Part(
        group, heads=["What", "State", "Measured"], columns=["1.2", "auto", "2.2"], right=[False] * 3, rows=rows
    )


if __name__ == "__main__":
    made = {"report": report, "encryption": encryption}[sys.argv[1]]
    sys.stdout.buffer.write(made(Facts.model_validate_json(sys.stdin.buffer.read())))
