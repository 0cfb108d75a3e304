"""A service has one primary Deployment, a time zone that there is, and a name that customers know."""

from typing import Any

import pytest
from pydantic import ValidationError

from activities.catalogue.service import ChurnWeights, Service
from tests.activities.catalogue.services import service

WORKER = {"kind": "StatefulSet", "name": "worker"}


def test_the_primary_workload_is_the_deployment_where_none_is_given() -> None:
    fields = {"namespace": "shop", "selector": "app=api", "health_url": "http://x"}
    made = Service.model_validate({**fields, "workloads": [WORKER, {"name": "api", "primary": True}]})
    assert made.deployment == "api"
    assert [str(one) for one in made.all_workloads] == ["deployment/api", "statefulset/worker"]
    assert [str(one) for one in made.other_workloads] == ["statefulset/worker"]
    for workloads in ([WORKER], [{"name": "a", "primary": True}, {"name": "b", "primary": True}], "api", ["api"]):
        with pytest.raises(ValidationError, match="deployment"):
            Service.model_validate({**fields, "workloads": workloads})


def test_where_no_others_are_named_the_deployment_is_all_there_is() -> None:
    assert [(str(one), one.primary) for one in service().all_workloads] == [("deployment/api", True)]
    same_name = service(workloads=[{"kind": "StatefulSet", "name": "api"}])
    assert [str(one) for one in same_name.other_workloads] == ["statefulset/api"]


@pytest.mark.parametrize(
    ("workloads", "says"),
    [
        ([{"name": "api", "primary": True}, {"name": "other", "primary": True}], "one is primary"),
        ([{"name": "other", "primary": True}], "one is primary"),
        ([{"kind": "StatefulSet", "name": "api", "primary": True}], "one is primary, a Deployment"),
        ([WORKER, WORKER], "one of them is named twice"),
    ],
)
def test_workloads_that_can_not_be_meant_are_refused(workloads: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        service(workloads=workloads)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc/passwd", "", "/etc/localtime"])
def test_a_time_zone_that_there_is_not_is_refused(zone: str) -> None:
    assert service(time_zone="Europe/Berlin").time_zone == "Europe/Berlin"
    with pytest.raises(ValidationError, match="time_zone"):
        service(time_zone=zone)


def test_customers_know_it_by_the_products_name_or_its_own() -> None:
    assert service().model_copy(update={"name": "api"}).product == "api"
    assert service(customers={"product": "TenSafe"}).product == "TenSafe"


def test_a_churn_score_without_any_sign_is_none() -> None:
    assert ChurnWeights(usage=0, errors=0, tickets=0, renewal=0.1).renewal == 0.1
    with pytest.raises(ValidationError, match="at least one weight must be above 0"):
        ChurnWeights(usage=0, errors=0, tickets=0, renewal=0)
