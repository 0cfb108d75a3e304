"""Adds what CI says of a version to the records; runs read it before they release."""

from typing import Literal

from pydantic import SecretStr

from libraries import psycopg
from records_schema.refusals import broken_rule
from records_schema.server import DatabaseError, connect

_DETAIL_CHARACTERS = 500


def report(
    url: SecretStr | str,
    *,
    service: str,
    version: str,
    verdict: Literal["passed", "failed", "running"],
    reported_by: str,
    detail: str = "",
    link: str = "",
    wait: float = 10.0,
) -> None:
    """Add a result, which counts from now on; waits up to `wait` seconds for the server.

    `detail` is shortened where it is long, for runs carry it in their histories.

    Raises:
        DatabaseError: the server does not answer or refuses, or has no table for it; says what to do.

    """
    with connect(url, wait=wait) as connection:
        try:
            connection.execute("SET statement_timeout = '5s'")
            connection.execute(
                """
                INSERT INTO runbooks.ci_results (service, version, verdict, detail, url, reported_by)
                VALUES (%s, %s, %s, %s, %s, %s)
                """,
                (service, version, verdict, detail[:_DETAIL_CHARACTERS], link, reported_by),
            )
        except psycopg.errors.ProgrammingError as error:
            raise DatabaseError(
                f"the records' schema or role does not fit this release ({type(error).__name__}): "
                "run `python -m records_schema migrate`, and check the role's privileges"
            ) from None
        except (psycopg.Error, UnicodeError) as error:
            rule = broken_rule(error)
            raise DatabaseError(
                f"the records refuse it: {rule}" if rule else f"the records did not take it ({type(error).__name__})"
            ) from None
