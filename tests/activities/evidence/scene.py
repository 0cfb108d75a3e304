"""A suspicious node of a real cluster, and all that acts on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.evidence.evidence import Evidence
from activities.evidence.files import FileStore
from activities.evidence.forensics import Forensics, KeepEvidence, KeptEvidence, ManifestVerdict, VerifyManifest
from activities.kubernetes.draining import Draining, Evicted, EvictPods
from activities.kubernetes.isolation import CordonNode, Isolation
from activities.kubernetes.suspects import PodRef
from tests.activities.kubernetes.on_cluster import an_effect
from tests.activities.kubernetes.suspicious import Suspicious
from tests.audit.stories import new_signer

INCIDENT = "SEC-1"


SIGNER = new_signer()


@dataclass
class Scene:
    """A suspicious node, and all that acts on it."""

    place: Suspicious
    isolation: Isolation
    draining: Draining
    forensics: Forensics
    folder: Path

    def everything(self) -> list[PodRef]:
        return [pod.ref for pod in self.isolation.look(self.place.look()).pods]

    def keep(self, **changes: Any) -> KeptEvidence:
        values = {"incident_id": INCIDENT, "part": 1, "nodes": [self.place.name], "effect": an_effect(), **changes}
        request = KeepEvidence(**{"pods": self.everything(), **values})
        kept: KeptEvidence = ActivityEnvironment().run(self.forensics.keep, request)
        return kept

    def verdict(self, kept: KeptEvidence, **changes: Any) -> ManifestVerdict:
        values = {"incident_id": INCIDENT, "part": 1, "manifest": kept.manifest, "signature": kept.signature}
        request = VerifyManifest(**{**values, **changes})
        found: ManifestVerdict = ActivityEnvironment().run(self.forensics.verify, request)
        return found

    def cordon(self) -> None:
        self.isolation.cordon(CordonNode(node=self.place.name, at=datetime.now(UTC), effect=an_effect()))

    def evict(self, pods: list[PodRef], *, force: bool = False, seconds: float = 20, **effect: Any) -> Evicted:
        request = EvictPods(
            nodes=[self.place.name],
            pods=pods,
            force=force,
            timeout=timedelta(seconds=seconds),
            effect=an_effect(**effect),
        )
        done: Evicted = ActivityEnvironment().run(self.draining.evict, request)
        return done

    def names(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.place.here()]


@pytest.fixture
def scene(
    kube: httpx.Client, tensafe: str, cluster_api: client.ApiClient, http: httpx.Client, tmp_path: Path
) -> Iterator[Scene]:
    place = Suspicious(kube, tensafe)
    store = FileStore(tmp_path / "evidence")
    evidence = Evidence(store, cluster_api, http, "http://127.0.0.1:1")
    try:
        yield Scene(
            place.create(),
            Isolation(cluster_api),
            Draining(cluster_api),
            Forensics(evidence, store, cluster_api, SIGNER),
            tmp_path / "evidence" / "incidents" / INCIDENT,
        )
    finally:
        place.remove()
