"""A value in a Secret is accepted before it is used, and one run at a time rotates it."""

import json

import httpx
import pytest

from activities.common.errors import Refused
from activities.credentials.secret_values import SecretValues
from tests.activities.credentials.readers import SIGNING, keep, kept
from tests.activities.credentials.rotating import SIGNS, rotating


def test_a_value_is_accepted_before_it_is_used(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old", other="stays")
    values.introduce(rotating(namespace, SIGNS))
    introduced = kept(kube, namespace, SIGNING)
    assert introduced["now"] == "old"
    request = rotating(namespace, SIGNS)
    first = values.switch(request)
    switched = kept(kube, namespace, SIGNING)
    assert switched == {"now": introduced["also"], "also": "old", "other": "stays"}
    again = values.switch(request)  # the answer to the first was lost
    assert (first.applied, again.applied) == (True, False)
    assert kept(kube, namespace, SIGNING) == switched
    values.retire(rotating(namespace, SIGNS))
    assert kept(kube, namespace, SIGNING) == {"now": introduced["also"], "other": "stays"}


def test_two_runs_do_not_rotate_one_value(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    values.introduce(rotating(namespace, SIGNS))
    with pytest.raises(Refused, match="held by p1"):
        values.introduce(rotating(namespace, SIGNS, run="another"))
    values.switch(rotating(namespace, SIGNS))
    values.retire(rotating(namespace, SIGNS))
    values.introduce(rotating(namespace, SIGNS, run="another"))
    with pytest.raises(Refused, match="held by another"):
        values.switch(rotating(namespace, SIGNS))


def test_a_new_value_that_a_person_removed_is_not_switched_to(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    values.introduce(rotating(namespace, SIGNS))
    body = json.dumps({"data": {"also": None}})
    kind = {"Content-Type": "application/merge-patch+json"}
    kube.patch(f"/api/v1/namespaces/{namespace}/secrets/{SIGNING}", content=body, headers=kind).raise_for_status()
    with pytest.raises(Refused, match="not there any more"):
        values.switch(rotating(namespace, SIGNS))
    assert kept(kube, namespace, SIGNING) == {"now": "old"}


def test_a_plan_of_a_value_changes_nothing(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    for phase in (values.introduce, values.switch, values.retire):
        assert not phase(rotating(namespace, SIGNS, dry_run=True)).applied
    assert kept(kube, namespace, SIGNING) == {"now": "old"}
