"""Evidence of the session's cluster, kept in files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kubernetes import client

from activities.evidence.evidence import Evidence, Kept
from activities.evidence.files import FileStore


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as session:
        yield session


@pytest.fixture
def filed(tmp_path: Path, cluster_api: client.ApiClient, http: httpx.Client) -> Evidence:
    """Without a Prometheus."""
    return Evidence(FileStore(tmp_path / "evidence"), cluster_api, http, "http://127.0.0.1:1")


def kept_as(content: bytes) -> Kept:
    return Kept(uri="", sha256=hashlib.sha256(content).hexdigest(), size=len(content), effect="e", detail="1 line, ü")
