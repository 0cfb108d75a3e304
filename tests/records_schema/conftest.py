"""Fixtures of a private PostgreSQL with the records in it."""

from tests.records_schema.fixtures import (  # noqa: F401
    empty_database_url,
    own_postgres,
    records_pool,
    records_sql,
    records_url,
)
