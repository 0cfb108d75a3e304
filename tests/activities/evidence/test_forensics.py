"""Evidence of a suspicious node on a real API server: kept whole, signed, and safe before anything is moved.

The order is proven by the API server's own audit log, and what a drain does beside what kubectl's does.
"""

import json
from datetime import UTC, datetime, timedelta

import boto3
import httpx
import pytest
from kubernetes import client

from activities.common.effects import is_effect
from activities.evidence.evidence import Evidence
from activities.evidence.forensics import Forensics
from activities.evidence.s3 import S3Store
from activities.kubernetes.isolation import IsolatePods
from activities.kubernetes.suspects import PodRef
from sandbox.aws import ENVIRONMENT, Aws
from sandbox.cluster import Cluster
from tests.activities.evidence.scene import INCIDENT, SIGNER, Scene
from tests.activities.kubernetes.on_cluster import an_effect


def test_everything_is_kept_and_nobody_else_may_read_it(scene: Scene) -> None:
    assert is_effect(scene.forensics.keep)
    kept = scene.keep()
    manifest = json.loads((scene.folder / "1-manifest.json").read_text())
    assert {pod["name"] for pod in manifest["pods"]} == set(scene.names())
    names = {piece["name"] for piece in manifest["pieces"]}
    assert len(names) == kept.pieces == 2 * len(scene.names()) + 2
    suspect = next(pod for pod in kept.kept if pod.name.startswith("suspect"))
    log = next(scene.folder.glob(f"1-*{suspect.uid[:8]}.log")).read_text()
    assert f"===== {suspect.name}, init" in log  # init containers too
    assert f"===== {suspect.name}, app" in log
    assert "started" in log
    spec = json.loads(next(scene.folder.glob(f"1-*{suspect.uid[:8]}.json")).read_text())
    assert spec["metadata"]["uid"] == suspect.uid
    assert {file.stat().st_mode & 0o077 for file in scene.folder.iterdir()} == {0}
    assert str(scene.verdict(kept)) == f"{kept.pieces} pieces as they were kept, signed"


def test_a_second_attempt_keeps_what_the_first_kept(scene: Scene) -> None:
    effect = an_effect()
    first = scene.keep(effect=effect)
    for file in scene.folder.glob("*manifest*"):
        file.unlink()  # as if the first had died before its last step
    again = scene.keep(effect=effect)
    assert again.manifest.sha256 == first.manifest.sha256
    assert scene.verdict(again).good


def test_one_changed_byte_is_named(scene: Scene) -> None:
    kept = scene.keep()
    log = next(scene.folder.glob("1-*bare*.log"))
    log.write_bytes(log.read_bytes()[:-1] + b"x")
    verdict = scene.verdict(kept)
    assert (verdict.good, verdict.wrong) == (False, [f"{log.name} is not what was kept"])
    other = kept.manifest.model_copy(update={"sha256": "0" * 64})
    assert "signature" in str(scene.verdict(kept, manifest=other))


def test_a_pod_that_has_gone_is_told(scene: Scene) -> None:
    gone = PodRef(namespace=scene.place.namespace, name="bare", uid="another")
    kept = scene.keep(pods=[gone])
    assert (kept.kept, kept.gone) == ([], [f"{scene.place.namespace}/bare"])


def test_a_plan_writes_nothing(scene: Scene) -> None:
    assert not scene.keep(effect=an_effect(dry_run=True)).applied
    assert not scene.folder.exists()


def test_nothing_is_evicted_before_its_logs_are_safe(scene: Scene, cluster: Cluster) -> None:
    pods = scene.isolation.look(scene.place.look()).suspected
    scene.cordon()
    scene.isolation.isolate(
        IsolatePods(incident_id=INCIDENT, namespace=scene.place.namespace, pods=pods, effect=an_effect())
    )
    kept = scene.keep()
    assert scene.evict(kept.kept, force=True).complete
    log = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
    ours = [entry for entry in log if entry["objectRef"].get("namespace") == scene.place.namespace]
    read: dict[str, str] = {}
    evicted: dict[str, str] = {}
    for entry in ours:
        at, name = entry["stageTimestamp"], entry["objectRef"]["name"]
        if entry["objectRef"].get("subresource") == "log":
            read[name] = max(read.get(name, ""), at)
        elif entry["objectRef"].get("subresource") == "eviction":
            evicted[name] = min(evicted.get(name, "9"), entry["requestReceivedTimestamp"])
    assert {"bare", "scratch"} <= evicted.keys()
    assert len(evicted) == 4
    assert evicted.keys() <= read.keys()
    assert all(read[name] < at for name, at in evicted.items())
    (denied,) = [e for e in ours if e["objectRef"]["resource"] == "networkpolicies" and e["verb"] == "create"]
    assert denied["requestReceivedTimestamp"] < min(evicted.values())


def test_what_is_kept_in_s3_is_locked(
    scene: Scene, aws: Aws, cluster_api: client.ApiClient, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3", endpoint_url=aws.url, region_name="us-east-1")
    bucket = f"locked-{scene.place.name}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    store = S3Store(bucket, endpoint_url=aws.url, region="us-east-1", lock_for=timedelta(days=30))
    evidence = Evidence(store, cluster_api, http, "http://127.0.0.1:1")
    scene.forensics = Forensics(evidence, store, cluster_api, SIGNER)
    kept = scene.keep()
    assert scene.verdict(kept).good
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert len(versions) == kept.pieces + 2
    for version in versions:
        head = s3.head_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        assert head["ObjectLockMode"] == "COMPLIANCE"
        assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)
