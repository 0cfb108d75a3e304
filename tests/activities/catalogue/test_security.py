"""Settings of security incidents that no run could follow are refused."""

from typing import Any

import pytest

from activities.catalogue.security import AccessPolicy, BlockPolicy, CredentialPolicy, SecurityPolicy

OFFICE = "8.8.4.0/24"


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"database": "main"},
        {"query": "SELECT 1"},
        {"controller_namespace": "x", "known_since": "P1Y"},
        {"often": 1},
    ],
)
def test_policies_that_can_not_be_meant(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"required|both|known_since|often"):
        AccessPolicy.model_validate(policy)


@pytest.mark.parametrize("fields", [{"never": []}, {"never": ["nonsense"]}, {"never": [OFFICE], "ingresses": []}])
def test_settings_that_can_not_be_meant(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"never|ingresses"):
        BlockPolicy.model_validate({"ingresses": ["web"], **fields})


SECRET = {"kind": "secret", "secret": "s", "key": "token"}
ROLES = {"kind": "database-roles", "secret": "s", "key": "url", "database": "main", "roles": ["one", "two"]}


@pytest.mark.parametrize(
    "fields",
    [SECRET, {**SECRET, "overlap_key": "next"}, {"kind": "secrets-manager", "secret": "s"}, ROLES],
)
def test_a_credential_of_each_kind_can_be_rotated(fields: dict[str, Any]) -> None:
    assert CredentialPolicy.model_validate(fields).secret == "s"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({**SECRET, "key": ""}, "key: is required"),
        ({**SECRET, "overlap_key": "token"}, "overlap_key: for secret alone, and another key"),
        ({**ROLES, "overlap_key": "next"}, "overlap_key: for secret alone"),
        ({"kind": "secrets-manager", "secret": "s", "overlap_key": "next"}, "overlap_key: for secret alone"),
        ({**ROLES, "database": ""}, "database and two different roles"),
        ({**ROLES, "roles": ["one"]}, "database and two different roles"),
        ({**ROLES, "roles": ["one", "one"]}, "database and two different roles"),
        ({**ROLES, "roles": ["one", "two", "three"]}, "database and two different roles"),
        ({**ROLES, "roles": ["one", "two", "two"]}, "roles: one is named twice"),
        ({**SECRET, "database": "main"}, "neither otherwise"),
        ({**SECRET, "roles": ["one", "two"]}, "neither otherwise"),
    ],
)
def test_a_credential_that_can_not_be_rotated_so_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CredentialPolicy.model_validate(fields)


@pytest.mark.parametrize("name", ["all", "named", "none"])
def test_a_credential_has_no_name_that_means_something_else(name: str) -> None:
    with pytest.raises(ValueError, match=f"credentials: {name} means something else"):
        SecurityPolicy.model_validate({"credentials": {name: SECRET}})
    assert SecurityPolicy.model_validate({"credentials": {"payments": SECRET}}).credentials
