"""The ID that a tenant gets by its customer's name."""

import pytest

from workflows.customer_operations.tenant_ids import tenant_id_of


@pytest.mark.parametrize(
    ("name", "tenant_id"),
    [
        ("Acme Corp", "acme-corp"),
        ("O'Neil & Sons", "o-neil-sons"),
        ("Müller & Søn", "muller-son"),
        ("Cafe\u0301 Łódź", "cafe-lodz"),
        ("Café Łódź", "cafe-lodz"),
        ("ÆRØ A/S", "aero-a-s"),
        ("İstanbul Straße", "istanbul-strasse"),
        ("Acme™ 株式会社", "acme"),
        ("x" * 80, "x" * 63),
    ],
)
def test_letters_that_are_not_plain_are_not_lost(name: str, tenant_id: str) -> None:
    assert tenant_id_of(name) == tenant_id


@pytest.mark.parametrize("name", ["株式会社", "ΑΘΗΝΑ", "!!!", "é", "🔥"])
def test_a_name_of_which_nothing_is_left_needs_an_id(name: str) -> None:
    with pytest.raises(ValueError, match="tenant_id: can't be made of this name"):
        tenant_id_of(name)
