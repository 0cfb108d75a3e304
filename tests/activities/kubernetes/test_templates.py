"""Which pod templates are one release: what only replaces pods makes no other."""

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from activities.kubernetes.templates import release

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "api"}, "annotations": {"checksum/config": "0a1b"}},
    "spec": {
        "initContainers": [{"name": "migrate", "image": "api:v1", "env": [{"name": "MODE", "value": "migrate"}]}],
        "containers": [
            {"name": "api", "image": "api:v1", "env": [{"name": "SALE_ENDS_AT", "value": "2026-12-01T00:00Z"}]}
        ],
    },
}

A_RANDOM_ONE = "2f1e6b1c-1f1d-4a0e-9a53-8d0fb2d4d8f9"


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    template = copy.deepcopy(TEMPLATE)
    change(template)
    return template


def annotated(name: str, value: str) -> dict[str, Any]:
    return changed(lambda one: one["metadata"]["annotations"].update({name: value}))


def with_variable(name: str, value: str) -> dict[str, Any]:
    return changed(lambda one: one["spec"]["containers"][0]["env"].append({"name": name, "value": value}))


@pytest.mark.parametrize(
    "template",
    [
        annotated("kubectl.kubernetes.io/restartedAt", "2026-02-04T03:00:00+01:00"),
        annotated("cattle.io/timestamp", "2026-02-04T03:00:00Z"),
        annotated("rollme", "x7Kq2"),
        annotated("keel.sh/update-time", "2026-02-04 03:00:00.1 +0000 UTC m=+1.2"),
        annotated("reloader.stakater.com/last-reloaded-from", '{"kind":"CONFIGMAP"}'),
        annotated("example.com/redeployed", "1770174000"),
        annotated("timestamp", "2026-02-04 03:00:00.123456789 +0000 UTC m=+0.051"),
        annotated("date", "Wed Feb  4 03:00:00 UTC 2026"),
        annotated("date", "Wed, 04 Feb 2026 03:00:00 +0000"),
        annotated("rollout", "20260204030000"),
        annotated("date", "20260204T030000.123+0100"),
        annotated("date", "4 Feb 2026 03:00:00"),
        annotated("date", "02/04/2026 03:00"),
        annotated("ops.example.com/triggerrestart", "871341"),
        annotated("corp.org/random", "aB3$"),
        annotated("example.com/redeploy", "once more"),
        annotated("forceUpdate", "7"),
        annotated("azure-pipelines/run", "20260204.3"),
        annotated("flagger-id", A_RANDOM_ONE),
        changed(lambda one: one["metadata"]["labels"].update({"skaffold.dev/run-id": A_RANDOM_ONE})),
        changed(lambda one: one["metadata"]["labels"].update({"Octopus.Deployment.Id": "deployments-123"})),
        changed(lambda one: one["metadata"]["labels"].update(date="1770174000")),
        with_variable("RESTARTED_AT", "Wed Feb  4 03:00:00 UTC 2026"),
        with_variable("FORCE_REDEPLOY", "1770174000"),
        with_variable("RESTART_TRIGGER", A_RANDOM_ONE),
        with_variable("TIMESTAMP", "1770174000"),
        with_variable("LAST_UPDATED", "2026-02-04T03:00:00Z"),
        with_variable("STAKATER_API_CONFIGMAP", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ],
)
def test_whoever_has_the_pods_replaced_makes_no_release(template: dict[str, Any]) -> None:
    assert release(template) == release(TEMPLATE)


@pytest.mark.parametrize(
    "template",
    [
        annotated("checksum/config", "9f8e"),
        annotated("example.com/api-version", "2026-02-04"),
        annotated("prometheus.io/port", "9090"),
        annotated("example.com/preloaded", "model-2"),
        with_variable("SALE_BEGINS_AT", "2026-11-27T00:00Z"),
        with_variable("RESTART_AFTER", "30s"),
        with_variable("RELOAD", "true"),
        with_variable("RELEASE_ID", A_RANDOM_ONE),
        annotated("example.com/release-id", A_RANDOM_ONE),
        changed(lambda one: one["spec"]["initContainers"][0].update(image="api:v2")),
        changed(lambda one: one["spec"]["containers"][0].update(image="api:v2")),
        changed(lambda one: one["spec"]["containers"][0]["env"][0].update(value="2026-12-02T00:00Z")),
        changed(lambda one: one["metadata"].pop("annotations")),
    ],
)
def test_what_is_run_otherwise_is_another_release(template: dict[str, Any]) -> None:
    assert release(template) != release(TEMPLATE)


def test_a_variable_that_was_alone_leaves_none() -> None:
    bare = {"spec": {"containers": [{"name": "api", "image": "api:v1"}]}}
    rolled = {
        "spec": {
            "containers": [{**bare["spec"]["containers"][0], "env": [{"name": "STAKATER_A_SECRET", "value": "1"}]}]
        }
    }
    assert release(rolled) == release(bare)


def test_the_records_of_before_know_a_release_by_the_same_digest() -> None:
    metadata = TEMPLATE["metadata"]
    pods = {"labels": metadata["labels"], "annotations": metadata["annotations"], "spec": TEMPLATE["spec"]}
    assert release(TEMPLATE) == hashlib.sha256(json.dumps(pods, sort_keys=True).encode()).hexdigest()[:16]
