"""Fixtures of the session's cluster, of a Helm release on it, and of a private PostgreSQL with the records in it."""

from tests.activities.common.own_clock import own_clock  # noqa: F401
from tests.activities.evidence.evidence_fixtures import filed, http  # noqa: F401
from tests.activities.evidence.scene import scene  # noqa: F401
from tests.activities.kubernetes.cluster_fixtures import cluster_api, kubernetes, server  # noqa: F401
from tests.activities.releases.helm_fixtures import helm_charts, released  # noqa: F401
from tests.records_schema.fixtures import (  # noqa: F401
    empty_database_url,
    own_postgres,
    records_pool,
    records_sql,
    records_url,
)
