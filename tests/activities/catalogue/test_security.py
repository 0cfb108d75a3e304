"""Settings of security incidents that no run could follow are refused."""

from typing import Any

import pytest

from activities.catalogue.security import AccessPolicy, BlockPolicy

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
