"""References of images, as the grammar has them."""

import pytest

from activities.kubernetes.images import parse

DIGEST = "sha256:" + "0123456789ab" + "c" * 52


@pytest.mark.parametrize(
    ("reference", "repository", "tag", "shown", "fixed"),
    [
        ("nginx", "nginx", "", "latest", False),
        ("nginx:1.27", "nginx", "1.27", "1.27", True),
        ("nginx:latest", "nginx", "latest", "latest", False),
        ("shop/api:v1", "shop/api", "v1", "v1", True),
        ("localhost:5000/api", "localhost:5000/api", "", "latest", False),
        ("registry.example:5000/shop/api:v1", "registry.example:5000/shop/api", "v1", "v1", True),
        (f"registry.example:5000/shop/api@{DIGEST}", "registry.example:5000/shop/api", "", "0123456789ab", True),
        (f"shop/api:v1@{DIGEST}", "shop/api", "v1", "v1", True),
        (f"shop/api:latest@{DIGEST}", "shop/api", "latest", "latest", True),
    ],
)
def test_a_reference_is_taken_apart(reference: str, repository: str, tag: str, shown: str, *, fixed: bool) -> None:
    image = parse(reference)
    assert (image.repository, image.tag, image.shown, image.fixed) == (repository, tag, shown, fixed)
