"""Shares of traffic on a real API server: the weight of a canary Ingress, set once, and never over somebody else's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client

from activities.common.effects import Effect, is_effect
from activities.common.errors import Misconfigured, NotFound, Refused
from activities.kubernetes.api import connect
from activities.kubernetes.effect_notes import EFFECTS
from activities.kubernetes.traffic import CANARY, WEIGHT, WEIGHT_TOTAL, ShareRequest, ShiftTraffic, Traffic
from tests.activities.kubernetes.on_cluster import an_effect


@pytest.fixture(scope="module")
def traffic(cluster_api: client.ApiClient) -> Traffic:
    return Traffic(cluster_api)


class Canary:
    """The Ingress of the test's namespace, as anybody else sees and changes it."""

    def __init__(self, kube: httpx.Client, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/tensafe-server"

    @property
    def annotations(self) -> dict[str, str]:
        annotations: dict[str, str] = self.kube.get(self.path).raise_for_status().json()["metadata"]["annotations"]
        return annotations

    @property
    def weight(self) -> str:
        return self.annotations[WEIGHT]

    def annotate(self, **annotations: str | None) -> None:
        body = {"metadata": {"annotations": annotations}}
        merge = {"Content-Type": "application/merge-patch+json"}
        self.kube.patch(self.path, headers=merge, content=json.dumps(body)).raise_for_status()

    @property
    def asked(self) -> ShareRequest:
        return ShareRequest(namespace=self.namespace, ingress="tensafe-server")

    def shift(self, percent: int, *instead_of: int, effect: Effect | None = None) -> ShiftTraffic:
        return ShiftTraffic(
            **self.asked.model_dump(), percent=percent, instead_of=list(instead_of), effect=effect or an_effect()
        )


@pytest.fixture
def canary(kube: httpx.Client, tensafe: str) -> Canary:
    return Canary(kube, tensafe)


def test_a_share_is_set_once_and_says_what_it_was(traffic: Traffic, canary: Canary) -> None:
    assert is_effect(Traffic.shift)
    assert traffic.share(canary.asked).percent == 100
    request = canary.shift(10, 100)
    first, second = traffic.shift(request), traffic.shift(request)
    assert (first.before, first.after, first.applied) == ("100 %", "10 % of the traffic", True)
    assert (second.before, second.after, second.applied) == ("100 %", "10 % of the traffic", False)
    assert second.note == "done by an earlier attempt"
    assert canary.weight == "10"
    assert len(json.loads(canary.annotations[EFFECTS])) == 1
    assert traffic.share(canary.asked).percent == 10


def test_a_second_attempt_leaves_alone_what_somebody_set_after_the_first(traffic: Traffic, canary: Canary) -> None:
    request = canary.shift(10, 100)
    traffic.shift(request)
    canary.annotate(**{WEIGHT: "0"})
    assert not traffic.shift(request).applied
    assert canary.weight == "0"


def test_a_share_that_somebody_else_has_set_is_left_to_them(traffic: Traffic, canary: Canary) -> None:
    canary.annotate(**{WEIGHT: "40"})
    with pytest.raises(Refused, match="is at 40 % and not at 25 % or 100 %: somebody else has set it"):
        traffic.shift(canary.shift(50, 25, 100))
    assert canary.weight == "40"
    assert EFFECTS not in canary.annotations


def test_what_is_there_already_is_no_change(traffic: Traffic, canary: Canary) -> None:
    change = traffic.shift(canary.shift(100, 0))
    assert not change.applied
    assert change.after == "already 100 % of the traffic"


def test_a_plan_changes_nothing(traffic: Traffic, canary: Canary) -> None:
    change = traffic.shift(canary.shift(10, 100, effect=an_effect(dry_run=True)))
    assert (change.after, change.applied) == ("10 % of the traffic", False)
    assert canary.weight == "100"


class _Slow(Traffic):
    """Somebody else changes the Ingress between its read and its patch."""

    def __init__(self, api: Any, meanwhile: Iterator[dict[str, str]], canary: Canary) -> None:
        super().__init__(api)
        self.meanwhile = meanwhile
        self.canary = canary

    def _read(self, request: ShareRequest) -> dict[str, Any]:
        found = super()._read(request)
        if (annotations := next(self.meanwhile, None)) is not None:
            self.canary.annotate(**annotations)
        return found


def test_a_change_between_read_and_patch_is_seen(kubeconfig: Path, canary: Canary) -> None:
    with connect(kubeconfig) as api:
        # One that doesn't matter is passed by, one that does is not overwritten.
        _Slow(api, iter([{"note": "hello"}]), canary).shift(canary.shift(10, 100))
        assert (canary.weight, canary.annotations["note"]) == ("10", "hello")
        with pytest.raises(Refused, match="is at 77 %"):
            _Slow(api, iter([{WEIGHT: "77"}]), canary).shift(canary.shift(25, 10))
        assert canary.weight == "77"


def test_a_weight_of_another_total_is_a_share_of_it(traffic: Traffic, canary: Canary) -> None:
    canary.annotate(**{WEIGHT_TOTAL: "1000", WEIGHT: "250"})
    assert traffic.share(canary.asked).percent == 25
    traffic.shift(canary.shift(50, 25))
    assert canary.weight == "500"


@pytest.mark.parametrize(
    ("annotations", "says"),
    [({CANARY: "false"}, "is no canary"), ({CANARY: None}, "is no canary"), ({WEIGHT: "half"}, "not a whole number")],
)
def test_an_ingress_whose_weight_would_change_nothing_is_told(
    traffic: Traffic, canary: Canary, annotations: dict[str, str | None], says: str
) -> None:
    canary.annotate(**annotations)
    for ask in (lambda: traffic.share(canary.asked), lambda: traffic.shift(canary.shift(10, 100))):
        with pytest.raises(Misconfigured, match=says):
            ask()


def test_without_a_weight_nothing_reaches_it(traffic: Traffic, canary: Canary) -> None:
    canary.annotate(**{WEIGHT: None})
    assert traffic.share(canary.asked).percent == 0
    assert traffic.shift(canary.shift(10, 0)).applied


def test_an_ingress_that_is_not_there_is_told(traffic: Traffic, canary: Canary) -> None:
    with pytest.raises(NotFound, match="nobody"):
        traffic.share(ShareRequest(namespace=canary.namespace, ingress="nobody"))
