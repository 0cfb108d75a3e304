"""Every server of a database has a Secret of its own: the service is pointed at one by copying it."""

import pytest
from pydantic import ValidationError

from activities.catalogue.database import DatabasePolicy
from tests.activities.catalogue.services import database


def test_each_has_its_own() -> None:
    made = DatabasePolicy.model_validate(database(servers={"one": {"secret": "one"}, "two": {"secret": "two"}}))
    assert list(made.servers) == ["one", "two"]


@pytest.mark.parametrize(
    "servers", [{"one": {"secret": "current"}}, {"one": {"secret": "one"}, "two": {"secret": "one"}}]
)
def test_a_secret_of_two_is_refused(servers: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValidationError, match="each must name a Secret of its own"):
        DatabasePolicy.model_validate(database(servers=servers))


def test_a_database_without_a_server_is_none() -> None:
    with pytest.raises(ValidationError, match="servers"):
        DatabasePolicy.model_validate(database(servers={}))
