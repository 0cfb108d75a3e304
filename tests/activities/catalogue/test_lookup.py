"""A run is about one service of the catalogue, and knows what it shares with others."""

from typing import Any

import pytest

from activities.catalogue.lookup import Catalogue, Neighbour, ResolveService, UsersOfDatabase
from activities.catalogue.service import ApprovalPolicy, Service
from activities.common.errors import UnknownService
from tests.activities.catalogue.services import database, service


def catalogue(**services: Service) -> Catalogue:
    return Catalogue(services, ApprovalPolicy())


def neighbours(one: Service, other: Service) -> list[Neighbour]:
    found = catalogue(one=one, other=other).resolve(ResolveService(service="one")).neighbours
    assert found is not None
    return found


def test_the_only_service_need_not_be_named_and_has_the_name_of_its_table() -> None:
    found = catalogue(api=service())
    assert found.resolve(ResolveService()).service.name == "api"
    assert found.resolve(ResolveService()) == found.resolve(ResolveService(service="api"))
    assert found.resolve(ResolveService()).neighbours == []


@pytest.mark.parametrize(
    ("services", "asked", "says"),
    [
        (["b", "a"], None, "service: required, since there are several. Known services: a, b"),
        (["b", "a"], "c", "service: 'c' is not in the catalogue. Known services: a, b"),
        (["a"], "c", "service: 'c' is not in the catalogue. Known services: a"),
        ([], None, "Known services: none: add [services.NAME] to runbooks.toml"),
        ([], "c", "service: 'c' is not in the catalogue. Known services: none: add"),
    ],
)
def test_a_service_that_is_not_known_is_refused_with_those_that_are(
    services: list[str], asked: str | None, says: str
) -> None:
    with pytest.raises(UnknownService) as caught:
        catalogue(**{name: service(name) for name in services}).resolve(ResolveService(service=asked))
    assert says in caught.value.message


GATEWAY = {"dependencies": {"gateway": {"health_url": "http://gateway/health"}}}


@pytest.mark.parametrize(
    ("one", "other", "shares"),
    [
        ({}, {"namespace": "elsewhere"}, []),
        ({}, {}, ["namespace shop"]),
        (
            {"database": database()},
            {"database": database(), "namespace": "elsewhere"},
            ["database main"],
        ),
        ({"database": database()}, {"database": database("second"), "namespace": "elsewhere"}, []),
        ({"database": database()}, {"namespace": "elsewhere"}, []),
        ({"degradation": GATEWAY}, {"degradation": GATEWAY, "namespace": "elsewhere"}, ["dependency gateway"]),
        # The same name for something else.
        (
            {"degradation": GATEWAY},
            {
                "degradation": {"dependencies": {"gateway": {"health_url": "http://another/health"}}},
                "namespace": "elsewhere",
            },
            [],
        ),
        # A Deployment of the same name is each one's own.
        (
            {"degradation": {"dependencies": {"cache": {"deployment": "cache"}}}},
            {"degradation": {"dependencies": {"cache": {"deployment": "cache"}}}, "namespace": "elsewhere"},
            [],
        ),
    ],
)
def test_what_two_services_share_is_said(one: dict[str, Any], other: dict[str, Any], shares: list[str]) -> None:
    (found,) = neighbours(service("one", **one), service("other", **other))
    assert (found.service, found.shares) == ("other", shares)


def test_all_others_that_use_a_database_are_found_by_name() -> None:
    found = catalogue(
        web=service("web", database=database(poolers=["front"])),
        asks=service("asks", database=database()),
        other=service("other", database=database("second")),
        api=service("api", database=database(secret="mine")),
        plain=service("plain"),
    ).users_of_database(UsersOfDatabase(database="main", besides="asks"))
    assert [(one.service, one.secret, one.poolers) for one in found.items] == [
        ("api", "mine", []),
        ("web", "current", ["front"]),
    ]
    assert str(found) == "api (deployment/api in shop); web (deployment/web in shop)"


def test_where_no_other_uses_it_that_is_said() -> None:
    found = catalogue(asks=service("asks", database=database())).users_of_database(
        UsersOfDatabase(database="main", besides="asks")
    )
    assert str(found) == "no other service uses it"
