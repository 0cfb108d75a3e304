"""Fixtures of a private PostgreSQL with the records in it, and of a Helm release on the session's cluster."""

from tests.activities.helm_fixtures import cluster_api, helm_charts, released  # noqa: F401
from tests.database.fixtures import (  # noqa: F401
    empty_database_url,
    own_postgres,
    records_pool,
    records_sql,
    records_url,
)
