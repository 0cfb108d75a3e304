"""What the cluster lets an account do is asked of it, and nothing is changed."""

from pathlib import Path

from activities.kubernetes.access import Permission, refused
from activities.kubernetes.api import connect

WANTED = [
    Permission("shop", "get", "pods/log"),
    Permission("shop", "patch", "deployments", "apps"),
    Permission("", "list", "nodes"),
]


def test_a_permission_is_said_as_a_person_would() -> None:
    assert [str(one) for one in WANTED] == ["get pods/log in shop", "patch deployments in shop", "list nodes"]


def test_an_administrator_is_refused_nothing(kubeconfig: Path) -> None:
    with connect(kubeconfig) as api:
        assert refused(api, WANTED) == []


def test_what_nobody_has_allowed_is_named_in_order(kubeconfig: Path) -> None:
    with connect(kubeconfig) as api:
        api.set_default_header("Impersonate-User", "somebody")  # type: ignore[no-untyped-call]
        assert refused(
            api, [*WANTED, Permission("", "create", "selfsubjectaccessreviews", "authorization.k8s.io")]
        ) == (WANTED)
