"""A package of a year: the same each time, valid OSCAL, whole, and every byte of it counts."""

import json
import os
import random
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.errors import Misconfigured, Refused
from activities.compliance.packages import CompliancePackages, OfPeriod
from activities.compliance.populations import SOURCES
from activities.evidence.files import FileStore
from audit.compliance import Facts
from audit.package_verify import verify
from audit.signer import FileSigner
from audit.store_progress import Failure, Progress
from tests.activities.compliance.packaging import (
    END,
    FOLDER,
    PEM,
    START,
    contents,
    effect,
    packages,
    path_of,
    request,
    year,
)

SCHEMA = Path(__file__).parents[2] / "audit/oscal_assessment-results_schema.json"
README = Path(__file__).parents[3] / "audit/package-readme.txt"
KEYS = [FileSigner(PEM).public_key]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "evidence")


@pytest.fixture
def package(store: FileStore, records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]) -> Path:
    year(records_sql)
    return path_of(packages(store, records_pool).package(request(store)))


def test_a_package_is_whole_and_says_what_the_records_have(package: Path) -> None:
    verdict = verify(package, KEYS)
    assert (verdict.broken, verdict.manifest and verdict.manifest.framework) == ("", "soc2")
    found = contents(package)
    log = json.loads(found["audit-log.json"])
    assert (log["count"], len(log["rows"]), log["from"]) == (120, 120, "2025-01-01T00:00:00.000000Z")
    assert log["rows"][0]["note"] == "because of “load”, =1+1"
    facts = json.loads(found["facts.json"])
    counts = {one["name"]: one["count"] for one in facts["populations"]}
    assert (counts["effects"], counts["deployments"], counts["incidents"], counts["alerts"]) == (120, 60, 7, 0)
    assert {source.file for source in SOURCES} <= set(found)
    assert found["populations/deployments.csv"].count(b"\r\n") == 61
    assert found["report.pdf"].startswith(b"%PDF")
    assert found["encryption-status.pdf"].startswith(b"%PDF")


def test_the_same_data_make_the_same_bytes(
    package: Path, store: FileStore, records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]
) -> None:
    again = packages(store, records_pool).package(request(store, effect=effect("another")))
    assert path_of(again) != package
    assert path_of(again).read_bytes() == package.read_bytes()
    (rows,) = records_sql.execute("SELECT count(*) FROM runbooks.archive_access WHERE action = 'package'").fetchall()
    assert rows == (2,)
    other = packages(store, records_pool).package(request(store, effect=effect("seed"), seed="another"))
    assert path_of(other).read_bytes() != package.read_bytes()


def test_a_second_attempt_of_the_effect_finds_the_first(
    package: Path, store: FileStore, records_pool: ConnectionPool[Any]
) -> None:
    again = packages(store, records_pool).package(request(store))
    assert (path_of(again), again.applied, again.audit_rows) == (package, False, 120)


@pytest.mark.parametrize("framework", ["soc2", "hipaa"])
def test_the_results_are_oscals(
    store: FileStore, records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], framework: Any
) -> None:
    year(records_sql)
    made = packages(store, records_pool).package(request(store, framework))
    document = json.loads(contents(path_of(made))["oscal-assessment-results.json"])
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [error.message for error in validator.iter_errors(document)] == []
    (result,) = document["assessment-results"]["results"]
    assert "findings" not in result
    del result["uuid"]
    assert not validator.is_valid(document)


def test_every_byte_counts(package: Path, tmp_path: Path) -> None:
    whole = package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        named = {info.filename: info.header_offset for info in archive.infolist()}
        directory = archive.start_dir
    damaged = tmp_path / "damaged.zip"
    drawn = random.Random(7)
    places = [drawn.randrange(len(whole)) for _ in range(150)]
    places += [*range(directory, directory + 90), *range(len(whole) - 22, len(whole)), *range(80)]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << drawn.randrange(8)
        damaged.write_bytes(changed)
        verdict = verify(damaged, KEYS)
        assert verdict.broken, f"byte {place} may be changed unseen"
    for name, offset in named.items():
        changed = bytearray(whole)
        changed[offset + 30 + len(name) + 20 + 3] ^= 1
        damaged.write_bytes(changed)
        assert name in verify(damaged, KEYS).broken
    damaged.write_bytes(whole + b"x")
    assert verify(damaged, KEYS).broken


def test_another_key_is_told(package: Path) -> None:
    assert "manifest.json" in verify(package, [bytes(32)]).broken


def commands(title: str) -> str:
    """Take commands out of the package's README, as a person would."""
    _, _, rest = README.read_text(encoding="utf-8").partition(title)
    lines = rest.partition("\n\n")[2].partition("\n\n")[0]
    return "\n".join(line.removeprefix("   ") for line in lines.splitlines())


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash"], input=script, cwd=folder, capture_output=True, text=True, check=False, env=os.environ, timeout=60
    )


def test_it_is_verified_and_drawn_again_without_us(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    verifying, drawing = commands("Only the word VERIFIED"), commands("To draw 25 deployments again:")
    assert shell(verifying, folder).stdout.endswith("VERIFIED\n")
    facts = json.loads((folder / "facts.json").read_text())
    (deployments,) = [one for one in facts["populations"] if one["name"] == "deployments"]
    drawn = [line.split()[1] for line in shell(drawing, folder).stdout.splitlines()]
    assert drawn == [one["id"] for one in deployments["samples"]]
    assert len(drawn) == 25
    log = folder / "audit-log.json"
    log.write_bytes(log.read_bytes().replace(b'"3"', b'"4"', 1))
    assert "VERIFIED" not in shell(verifying, folder).stdout


def test_an_empty_period_shows_no_evidence(store: FileStore, records_pool: ConnectionPool[Any]) -> None:
    made = packages(store, records_pool).package(request(store))
    facts = json.loads(contents(path_of(made))["facts.json"])
    assert {one["count"] for one in facts["populations"]} == {0}
    assert b'"count": 0' in contents(path_of(made))["audit-log.json"]
    json.loads(contents(path_of(made))["audit-log.json"])


def test_runs_that_the_archive_does_not_have_are_a_gap_of_what_relies_on_it(
    store: FileStore, records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]
) -> None:
    progress, made = Progress(records_pool), packages(store, records_pool)
    of = OfPeriod(framework="soc2", start=START, end=END)
    at = datetime(2025, 12, 20, 3, tzinfo=UTC)
    progress.move("default", at)
    for number in range(6):
        progress.failed("default", Failure(f"INC-{number}", f"r{number}", at, "not readable", gone=False, attempts=1))
    progress.failed("default", Failure("later", "r", at + timedelta(days=12), "not readable", gone=False, attempts=1))
    found = made.populations(of).gaps
    assert [gap.why for gap in found] == [
        "it goes to 2025-12-20 03:00 UTC: runs that ended later are missing",
        "6 runs could not be archived and are missing: INC-0, INC-1, INC-2, INC-3, INC-4, …",
    ]
    facts = Facts.model_validate_json(contents(path_of(made.package(request(store, gaps=found))))["facts.json"])
    lacking = {control.id for control in facts.framework.controls if facts.lacking(control)}
    assert "CC7.5" in lacking  # by recovery_runs, which are from the archive too
    assert "CC6.2" not in lacking
    progress.move("default", datetime(2026, 1, 1, tzinfo=UTC))
    progress.archived("default", [f"r{number}" for number in range(6)])
    assert made.populations(of).gaps == []


def test_a_plan_makes_nothing_and_no_key_is_said_at_once(store: FileStore, records_pool: ConnectionPool[Any]) -> None:
    planned = packages(store, records_pool).package(request(store, effect=effect(dry_run=True)))
    assert (planned.applied, path_of(planned).exists()) == (False, False)
    with pytest.raises(Misconfigured, match="can't be signed"):
        CompliancePackages(store, records_pool, None).populations(OfPeriod(framework="soc2", start=START, end=END))


def test_a_changed_exhibit_is_refused(store: FileStore, records_pool: ConnectionPool[Any], tmp_path: Path) -> None:
    asked = request(store)
    (tmp_path / "evidence" / FOLDER / "access-review.csv").write_bytes(b"x")
    with pytest.raises(Refused, match="was changed"):
        packages(store, records_pool).package(asked)
