"""Fixtures of the session's cluster, and of the service in a namespace of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kubernetes import client

from activities.kubernetes.api import connect
from activities.kubernetes.cluster import Kubernetes
from tests.activities.kubernetes.on_cluster import OnCluster


@pytest.fixture(scope="module")
def cluster_api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    with connect(kubeconfig) as api:
        yield api


@pytest.fixture(scope="module")
def kubernetes(cluster_api: client.ApiClient) -> Kubernetes:
    return Kubernetes(cluster_api)


@pytest.fixture
def server(kube: httpx.Client, kubeconfig: Path, tensafe: str) -> OnCluster:
    return OnCluster(kube, kubeconfig, tensafe)
