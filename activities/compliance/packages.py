"""A period's evidence as one signed file (runbook 8.3 steps 1, 2 and 5).

Counts, samples and exports are of one moment of the records: one transaction reads them all. The file is streamed:
PostgreSQL gives a page at a time, and what is written goes to the disk.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from typing import IO, Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.compliance import FrameworkName
from activities.common.children import tied
from activities.common.effects import Effect, effect
from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.common.text import Key
from activities.compliance import access, encryption
from activities.compliance.frameworks import FRAMEWORKS
from activities.compliance.looking import failures
from activities.compliance.populations import (
    EFFECTS,
    SOURCES,
    Period,
    count,
    drawn,
    snapshot,
    stamp,
    streamed,
    unarchived,
    whole,
)
from activities.evidence.evidence import EvidenceStore, StoredEvidence, keep
from audit import oscal
from audit.compliance import Facts, Gap
from audit.package import MARK, PackageManifest, Writer, write
from audit.signatures import canonical
from audit.signer import OFF, Signer
from audit.store import Store
from audit.store_connection import Pool, Rows
from audit.text import counted
from libraries import logger

LOG, REPORT, FACTS = "audit-log.json", "report.pdf", "facts.json"
_PIECE_ROWS = 500
_PRINTED_WITHIN = 600
_SAID = 2000

_log = logger(__name__)


class OfPeriod(BaseModel):
    """Of which framework and period; days are whole, included, and UTC's."""

    framework: FrameworkName
    start: date
    end: date

    @property
    def period(self) -> Period:
        """Give the period."""
        return Period(self.start, self.end)


class Counts(BaseModel):
    """How much of each kind the period has."""

    items: dict[str, int] = Field(description="Population → items.")
    gaps: list[Gap] = Field(default_factory=list, description="What of the period the records don't have.")

    def __str__(self) -> str:
        some = ", ".join(f"{name} {number}" for name, number in self.items.items() if number)
        return some or "nothing in the period"


class Exhibit(BaseModel):
    """Something that an earlier step has kept, and that belongs into the package."""

    uri: str
    sha256: str


class MakePackage(OfPeriod):
    """`tensafe-admin compliance report`, `tensafe-admin compliance package`; `audit_log` is the export in it."""

    folder: str
    looked_on: date
    seed: Key
    seed_given: bool
    samples: int
    access: Exhibit
    access_counts: dict[str, int]
    encryption: Exhibit
    gaps: list[Gap]
    effect: Effect


class Packaged(StoredEvidence):
    """The package as it is kept."""

    audit_rows: int = 0


class CompliancePackages:
    """Makes packages.

    Args:
        store: Where they are kept, and what they are made of.
        pool: Of the records; its statements may take a minute.
        signer: Who signs; None where there is no key.

    """

    def __init__(self, store: EvidenceStore, pool: Pool, signer: Signer | None) -> None:
        self._store, self._pool, self._signer = store, pool, signer

    @activity.defn(name="compliance.populations")
    def populations(self, request: OfPeriod) -> Counts:
        """Count what the period has of each kind, and say where that can't be all.

        Raises:
            Misconfigured: there is no key to sign a package with, or no schema.
            Unavailable: PostgreSQL doesn't answer.

        """
        self._signing()
        with failures(), snapshot(self._pool) as cursor:
            items = {source.name: count(cursor, source, request.period) for source in SOURCES}
            return Counts(items=items, gaps=unarchived(cursor, request.period))

    @activity.defn(name="compliance.package")
    @effect
    def package(self, request: MakePackage) -> Packaged:
        """Make the package, and keep it. In plan mode nothing is made: the answer says where it would be.

        Raises:
            Misconfigured: there is no key to sign with, or no schema.
            Unavailable: PostgreSQL, KMS or the evidence store doesn't answer.
            Refused: what an earlier step has kept was changed since.

        """
        signer, name = self._signing(), f"{request.framework}-evidence-package.zip"
        if request.effect.dry_run:
            uri = self._store.uri(f"{request.folder}/{name}")
            return Packaged(uri=uri, sha256="", size=0, applied=False)

        def produce(content: IO[bytes]) -> str:
            facts, manifest = self._made(content, signer, request)
            return f"{counted(manifest.files, 'file')}, {counted(facts.audit_rows, 'audit row')}"

        with failures():
            kept = keep(
                self._store, f"{request.folder}/{name}", produce, effect=request.effect, content_type="application/zip"
            )
            if kept.applied:
                Store(self._pool).accessed(
                    request.effect.actor, "package", f"{request.framework} {request.start} to {request.end}"
                )
        rows = kept.detail.rpartition(", ")[2].partition(" ")[0].replace(",", "")
        return Packaged(**kept.model_dump(), audit_rows=int(rows) if rows.isdecimal() else 0)

    def _made(self, content: IO[bytes], signer: Signer, request: MakePackage) -> tuple[Facts, PackageManifest]:
        review = self._exhibit(access.NAME, request.folder, request.access)
        measures = self._exhibit(encryption.NAME, request.folder, request.encryption)
        made: list[Facts] = []

        def exhibits(writer: Writer) -> None:
            # Setting pages takes seconds: the records' transaction is over by then.
            with snapshot(self._pool) as cursor:
                facts = self._facts(cursor, request, measures)
                for source in SOURCES:
                    if source.name == EFFECTS:
                        writer.put(LOG, audit_log(cursor, request.period))
                    else:
                        writer.put(source.file, whole(cursor, source, request.period))
            made.append(facts)
            writer.put(access.NAME, [review])
            writer.put(encryption.NAME, [measures])
            writer.put(encryption.REPORT, [_printed("encryption", facts)])
            writer.put(REPORT, [_printed("report", facts)])
            writer.put(FACTS, [canonical(facts.model_dump(mode="json"))])
            sums = {name: digest for digest, _, name in (line.rstrip("\n").partition("  ") for line in writer.sums)}
            writer.put(MARK, [json.dumps(oscal.assessment_results(facts, sums), indent=1, sort_keys=True).encode()])

        manifest = write(content, signer, exhibits, framework=request.framework, start=request.start, end=request.end)
        return made[0], manifest

    def _facts(self, cursor: Rows, request: MakePackage, measures: bytes) -> Facts:
        populations = tuple(
            drawn(cursor, source, request.period, seed=request.seed, most=request.samples) for source in SOURCES
        )
        return Facts(
            framework=FRAMEWORKS[request.framework],
            start=request.start,
            end=request.end,
            looked_on=request.looked_on,
            seed=request.seed,
            seed_given=request.seed_given,
            populations=populations,
            audit_rows={one.name: one.count for one in populations}[EFFECTS],
            access=request.access_counts,
            encryption=tuple(encryption.MEASURES.validate_json(measures)),
            gaps=tuple(request.gaps),
        )

    def _exhibit(self, name: str, folder: str, exhibit: Exhibit) -> bytes:
        """Read what an earlier step has kept.

        Raises:
            Refused: it is another one now.

        """
        key = f"{folder}/{exhibit.uri.rpartition('/')[2]}"
        content = self._store.read(key)
        if hashlib.sha256(content).hexdigest() != exhibit.sha256:
            raise Refused(f"{name} ({exhibit.uri}) was changed since this run has kept it")
        return content

    def _signing(self) -> Signer:
        if self._signer is None:
            raise Misconfigured(OFF.replace("the archive is off", "a package can't be signed"))
        return self._signer


def _printed(which: Literal["report", "encryption"], facts: Facts) -> bytes:
    """Set a report in a process of its own: fonts take seventy megabytes, which a worker would keep for good.

    Raises:
        Unavailable: the process did not end well.

    """
    bound = tied([sys.executable, "-m", "audit.render.compliance", which])
    done = subprocess.run(  # noqa: S603  our own module, and a word of two
        bound.argv,
        input=facts.model_dump_json().encode(),
        capture_output=True,
        check=False,
        timeout=_PRINTED_WITHIN,
        **bound.how,
    )
    if done.returncode != 0:
        _log.error("report not set", which=which, said=done.stderr.decode(errors="replace")[-_SAID:])
        raise Unavailable(f"the {which} could not be set (exit {done.returncode}; the worker's log says why)")
    return done.stdout


def audit_log(cursor: Rows, period: Period) -> Iterator[bytes]:
    """Give the audit log of a period as one JSON document, a piece at a time (`tensafe-admin audit-log export`)."""
    query = (
        "SELECT id, at, actor, workflow_id, run_id, effect_key, action, target, before, after, note "
        "FROM runbooks.audit_log WHERE at >= %(since)s AND at < %(until)s ORDER BY id"
    )
    bounds = period.bounds
    head = {"from": stamp(bounds["since"]), "until": stamp(bounds["until"])}
    yield json.dumps(head).encode()[:-1] + b', "rows": ['
    number = 0
    for piece in _pieces(streamed(cursor, "audit_log", query, bounds)):
        lines = [json.dumps({**row, "at": stamp(row["at"])}, ensure_ascii=False) for row in piece]
        yield (("\n" if number == 0 else ",\n") + ",\n".join(lines)).encode(errors="backslashreplace")
        number += len(lines)
    yield f'\n], "count": {number}}}\n'.encode()


def _pieces(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _PIECE_ROWS:
            yield piece
            piece = []
    if piece:
        yield piece
