"""Which value holds an autoscaler, whose that value is, and how it is patched."""

from typing import Any

import pytest

from activities.autoscaling.objects import HOLD, Autoscaler, Marker
from activities.common.errors import Refused
from activities.kubernetes.effect_notes import EFFECTS, Done
from tests.activities.autoscaling.written import OURS, PAUSED, PAUSED_REPLICAS, hpa, mark, scaled_object

DONE = Done(key="k", by="ada", before="b", after="a")


@pytest.mark.parametrize(
    ("annotations", "paused", "said"),
    [
        ({}, False, "active"),
        *[({PAUSED: text}, False, "active") for text in ("0", "f", "F", "false", "FALSE", "False")],
        *[({PAUSED: text}, True, "paused") for text in ("true", "", "no", "1")],
        ({PAUSED_REPLICAS: "3"}, True, "paused at 3 replicas"),
        ({PAUSED: "false", PAUSED_REPLICAS: "1"}, True, "paused at 1 replica"),
    ],
)
def test_it_is_paused_as_keda_reads_it(annotations: dict[str, str], said: str, *, paused: bool) -> None:
    found = scaled_object(annotations)
    assert (found.paused, found.state, found.target) == (paused, said, "scaledobject/one")


@pytest.mark.parametrize(("minimum", "floor", "held"), [(3, 8, "8"), (3, 2, "3"), (None, 8, "8"), (3, 20, "20")])
def test_an_hpa_is_held_by_a_minimum_that_is_never_lowered(minimum: int | None, floor: int, held: str) -> None:
    assert hpa(minimum).holding(floor) == held


def test_a_floor_above_the_maximum_can_not_hold_it() -> None:
    with pytest.raises(Refused, match="hpa/one may have 20 replicas at most, not 21: raise its maxReplicas first"):
        hpa().holding(21)


def test_an_hpa_without_a_minimum_has_kubernetes_own() -> None:
    assert (hpa(None).value, hpa(None).state) == ("1", "minReplicas 1")


@pytest.mark.parametrize(
    ("owners", "made"),
    [([], False), ([{"kind": "ScaledObject"}], True), ([{"kind": "Other"}], False)],
)
def test_one_that_keda_has_made_is_known(owners: list[dict[str, str]], *, made: bool) -> None:
    found = hpa()
    found.raw["metadata"]["ownerReferences"] = owners
    assert found.of_keda is made


@pytest.mark.parametrize("text", ["", "spoilt", '{"lease": "x"}', "[]"])
def test_a_spoilt_mark_is_none(text: str) -> None:
    assert scaled_object({HOLD: text}).marker is None


def test_a_mark_is_read_as_it_was_written() -> None:
    assert scaled_object({}, mark()).marker == mark()


@pytest.mark.parametrize(
    ("found", "marker", "untouched"),
    [
        (scaled_object({PAUSED: "true"}, None, OURS), mark(None, "true"), True),
        (scaled_object({PAUSED: "true"}, None, OURS, "kubectl"), mark(None, "true"), False),
        (scaled_object({PAUSED: "false"}, None, OURS), mark(None, "true"), False),
        (scaled_object({}, None), mark(None, "true"), False),
        # What the hold has not changed is theirs anyway.
        (hpa(8, None, "kubectl"), mark("8", "8"), True),
        (hpa(8, None, "kubectl"), mark("3", "8"), False),
        (hpa(8, None, OURS), mark("3", "8"), True),
    ],
)
def test_a_value_that_nobody_else_has_set_is_the_holds(found: Autoscaler, marker: Marker, *, untouched: bool) -> None:
    assert found.untouched(marker) is untouched


def test_others_are_those_who_have_set_the_value_itself() -> None:
    found = scaled_object({PAUSED: "true"}, None, "kubectl", OURS, "argocd")
    found.raw["metadata"]["managedFields"].append({"manager": "labels", "fieldsV1": {"f:metadata": {"f:labels": {}}}})
    assert found.others == "argocd, kubectl"


@pytest.mark.parametrize(
    ("found", "value", "spec"),
    [
        (hpa(3), "8", {"minReplicas": 8}),
        (hpa(3), None, {"minReplicas": 1}),
        (hpa(3), "3", None),
    ],
)
def test_an_hpas_patch_has_a_minimum_only_where_it_changes(found: Autoscaler, value: str | None, spec: Any) -> None:
    body = found.patch(value, None, DONE)
    assert body.get("spec") == spec
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["metadata"]["annotations"][HOLD] is None


def test_a_scaled_objects_patch_has_value_mark_and_note() -> None:
    found = scaled_object({PAUSED: "true"})
    annotations = found.patch(None, mark(), DONE)["metadata"]["annotations"]
    assert annotations[PAUSED] is None
    assert Marker.model_validate_json(annotations[HOLD]) == mark()
    assert scaled_object({EFFECTS: annotations[EFFECTS]}).done("k") == DONE
    assert PAUSED not in found.patch("true", None)["metadata"]["annotations"]
