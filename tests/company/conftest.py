"""Situations with two of everything: fixtures of the test server, of the cluster and of Helm."""

from tests.activities.kubernetes.cluster_fixtures import cluster_api, kubernetes, server  # noqa: F401
from tests.activities.releases.helm_fixtures import helm_charts, released  # noqa: F401
from tests.workflows.conftest import client, workflow_types, working  # noqa: F401
