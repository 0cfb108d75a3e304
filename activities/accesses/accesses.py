"""Reviewing the accesses to a service, and keeping what was found as evidence (runbook 8.1 step 5).

Rows go into the evidence store, where investigators alone may read them; a history gets counts, and the addresses that
people are asked about.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import IO, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field
from temporalio import activity

from activities.accesses.review import MEANING, Kind, Review, Subject, Window, review
from activities.accesses.sources import AccessSource, Sought
from activities.catalogue.security import AccessPolicy
from activities.common.effects import Change, Effect, effect
from activities.common.sheets import sheet
from activities.common.text import Key, Name, ToldLine
from activities.evidence.evidence import Evidence, EvidenceStore, StoredEvidence, key_of
from audit.text import counted

Source = Literal["ingress", "database"]

MOST_SUSPECTS = 20
"""Addresses that people are asked about: more than they can judge is no question."""

_HEADS = ("finding", "subject", "at", "address", "who", "what", "allowed")


class ReviewAccesses(BaseModel):
    """`tensafe-admin security audit --last 24h`."""

    incident_id: Key
    service: Name
    namespace: Key
    source: Source
    policy: AccessPolicy
    until: AwareDatetime
    last: timedelta = Field(description="Before that: what is reviewed. What is older is what is usual.")
    effect: Effect


class ReviewedAccesses(Change):
    """What the review found, without its rows."""

    accesses: int
    known: int = Field(description="Accesses from before, which say what is usual.")
    findings: dict[Kind, int]
    suspects: list[Key] = Field(description="Addresses that were refused often, as networks; those that got in first.")
    not_judged: list[str]
    unreadable: list[ToldLine]
    document: StoredEvidence
    rows: StoredEvidence


class _Piece(NamedTuple):
    """One object of the store, as `Evidence.keep` wants it."""

    incident_id: str
    name: str
    effect: Effect


class Accesses:
    """Reads, judges and keeps; raises what its sources and `Evidence` raise."""

    def __init__(self, evidence: Evidence, store: EvidenceStore, sources: Mapping[Source, AccessSource]) -> None:
        self._evidence = evidence
        self._store = store
        self._sources = sources

    @activity.defn(name="accesses.review")
    @effect
    def review(self, request: ReviewAccesses) -> ReviewedAccesses:
        """Review the accesses of one source. What can't be read of it is said so, in the answer and in the document."""
        made: list[Review] = []

        def produce(out: IO[bytes]) -> str:
            made.append(self._review(request))
            out.write((made[-1].model_dump_json(indent=1) + "\n").encode())
            return _in_short(made[-1])

        piece = _Piece(request.incident_id, f"access-review-{request.source}.json", request.effect)
        document = self._evidence.keep(piece, "application/json", produce)
        # What counts is what was kept: an attempt before this one may have seen fewer accesses.
        kept = document.applied or request.effect.dry_run
        found = made[-1] if kept else Review.model_validate(json.loads(self._store.read(key_of(document, self._store))))
        piece = _Piece(request.incident_id, f"access-review-{request.source}.csv", request.effect)
        rows = self._evidence.keep(piece, "text/csv; charset=utf-8", _rows(found))
        return ReviewedAccesses(
            target=f"accesses to {request.service} ({request.source})",
            after=document.detail,
            applied=document.applied,
            note="; ".join([*(f"not judged: {MEANING[kind]}" for kind in _kinds(found)), *found.unreadable])[:2000],
            accesses=found.accesses,
            known=found.before,
            findings={kind: sum(each.kind == kind for each in found.findings) for kind in MEANING},
            suspects=found.suspects(MOST_SUSPECTS),
            not_judged=found.not_judged,
            unreadable=found.unreadable,
            document=document,
            rows=rows,
        )

    def _review(self, request: ReviewAccesses) -> Review:
        since = request.until - request.last
        window = Window(since=since, until=request.until, known_since=since - request.policy.known_since)
        sought = Sought(
            service=request.service,
            namespace=request.namespace,
            policy=request.policy,
            since=window.known_since,
            until=window.until,
        )
        of = Subject(service=request.service, source=request.source, window=window, often=request.policy.often)
        return review(of, self._sources[request.source].read(sought), sought.unreadable)


def _kinds(found: Review) -> list[Kind]:
    return [kind for kind in MEANING if kind in found.not_judged]


def _in_short(found: Review) -> str:
    listed = counted(len(found.findings) + sum(found.left_out.values()), "finding")
    return f"{listed} in {counted(found.accesses, 'access', 'accesses')}, {found.before} known from before"


def _rows(found: Review) -> Callable[[IO[bytes]], str]:
    def cells() -> Iterator[tuple[str, ...]]:
        for of in found.findings:
            for row in of.rows:
                allowed = "" if row.allowed is None else "yes" if row.allowed else "no"
                yield of.kind, of.subject, row.at.isoformat(), row.address, row.who, row.what, allowed

    def produce(out: IO[bytes]) -> str:
        out.writelines(sheet(_HEADS, cells()))
        return counted(sum(len(of.rows) for of in found.findings), "row")

    return produce
