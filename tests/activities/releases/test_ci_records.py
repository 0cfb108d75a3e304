"""Results of CI that are reported into the records: the newest of a version counts."""

from typing import Any

import psycopg
import pytest

from activities.common.errors import Misconfigured, Unavailable
from activities.releases.ci import CiStatus
from activities.releases.ci_records import RecordsCi
from records_schema.ci_results import report
from records_schema.pool import connect_pool
from records_schema.server import DatabaseError
from tests.activities.releases.ci_requests import V, of
from tests.records_schema.own_server import OwnPostgres


def tell(url: str, verdict: str, version: str = V, service: str = "tensafe-server", **more: str) -> None:
    report(url, service=service, version=version, verdict=verdict, reported_by="ci", **more)  # type: ignore[arg-type]


def test_the_newest_result_of_a_version_counts(records: RecordsCi, records_url: str) -> None:
    assert records.status(of()) == CiStatus(verdict="unknown", detail="no result reported")
    tell(records_url, "running")
    tell(records_url, "failed", detail="2 of 140 tests", link="https://ci.example/7")
    tell(records_url, "passed", version="v1.2.5")
    tell(records_url, "passed", service="another")
    assert str(records.status(of())) == "failed: 2 of 140 tests https://ci.example/7"
    tell(records_url, "passed")
    assert records.status(of()) == CiStatus(verdict="passed")


def test_the_newest_is_the_one_reported_last_and_not_the_one_with_the_higher_number(
    records: RecordsCi, records_url: str, records_sql: psycopg.Connection[Any]
) -> None:
    tell(records_url, "passed")
    records_sql.execute(
        "INSERT INTO runbooks.ci_results (service, version, verdict, at, reported_by) "
        "VALUES ('tensafe-server', %s, 'failed', now() - interval '1 h', 'ci')",
        (V,),
    )
    assert records.status(of()).verdict == "passed"


def test_a_long_detail_is_shortened(records: RecordsCi, records_url: str) -> None:
    tell(records_url, "failed", detail="x" * 100_000)
    assert len(records.status(of()).detail) == 500


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"verdict": "green"}, "ci verdict is passed failed or running"),
        ({"verdict": "passed", "version": ""}, "ci version is not empty"),
        ({"verdict": "passed", "service": ""}, "ci service is not empty"),
        ({"verdict": "passed", "version": "a\0b"}, "DataError"),
    ],
)
def test_what_no_result_can_be_is_refused(records_url: str, wrong: dict[str, str], rule: str) -> None:
    with pytest.raises(DatabaseError, match=rule):
        tell(records_url, **wrong)


def test_a_schema_without_the_table_says_what_to_do(
    records: RecordsCi, records_url: str, records_sql: psycopg.Connection[Any]
) -> None:
    records_sql.execute("DROP TABLE runbooks.ci_results")
    with pytest.raises(DatabaseError, match="python -m records_schema migrate"):
        tell(records_url, "passed")
    with pytest.raises(Misconfigured, match="python -m records_schema migrate"):
        records.status(of())


def test_without_postgresql_it_is_not_known_rather_than_unknown(own_postgres: OwnPostgres) -> None:
    with connect_pool(own_postgres.url(), max_size=1) as pool, pytest.raises(Unavailable):
        RecordsCi(pool).status(of())
