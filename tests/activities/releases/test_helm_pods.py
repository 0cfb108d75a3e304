"""What failed before the release does not end the wait for its pods."""

import time
from datetime import timedelta

import pytest
from kubernetes import client

from activities.releases import helm_pods
from activities.releases.helm_pods import ReleasePods
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.on_helm import OnHelm

BAD = "v1.2.4"


def test_what_failed_before_the_release_does_not_end_the_wait(
    released: OnHelm, cluster_api: client.ApiClient, monkeypatch: pytest.MonkeyPatch
):
    pods = ReleasePods(cluster_api)
    released.release(BAD)
    eventually(lambda: pods.trouble(**released.where) == "3 × CrashLoopBackOff")
    monkeypatch.setattr(helm_pods, "HOPELESS_AFTER", timedelta(seconds=0.5))
    monkeypatch.setattr(helm_pods, "_LOOK", timedelta(0))
    hopeless = pods.hopeless(**released.where)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert not hopeless()
    released.release("v1.2.6-bad")
    eventually(hopeless)
