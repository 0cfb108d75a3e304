"""A package takes the same memory however long the audit log is; a process of its own says how much."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.activities.compliance.packaging import year

LIMIT_MIB = 150
SLOPE_MIB = 12
"""For 40 times the rows: pages of the C library's own, and no more."""


def peak(url: str, folder: Path) -> float:
    out = subprocess.run(
        [sys.executable, "-m", "bench.compliance", url, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        timeout=240,
    ).stdout
    return float(out.splitlines()[-1].split()[0])


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_log(
    records_url: str, records_sql: psycopg.Connection[Any], tmp_path: Path
) -> None:
    year(records_sql, rows=1_000)
    few = peak(records_url, tmp_path / "few")
    with records_sql.cursor() as cursor:
        cursor.execute("SET statement_timeout = '60s'")
        cursor.execute(
            """
            INSERT INTO runbooks.audit_log
                   (at, actor, workflow_id, run_id, effect_key, action, target, before, after, note)
            SELECT '2025-06-01Z', 'ada', 'wf', 'r', 'more' || n, 'scale', 'deployment/x', '3', '5', repeat('n', 200)
            FROM generate_series(1, 40000) AS n
            """
        )
    many = peak(records_url, tmp_path / "many")
    assert many - few < SLOPE_MIB
    assert many < LIMIT_MIB
