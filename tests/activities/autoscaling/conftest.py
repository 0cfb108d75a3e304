"""Fixtures of autoscalers on the session's cluster, and of what may happen between our read and our patch."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from activities.autoscaling.autoscalers import Autoscalers
from activities.common.errors import Unavailable
from tests.activities.autoscaling.scaled import Scaled
from tests.activities.kubernetes.on_cluster import OnCluster


@pytest.fixture(scope="module")
def autoscalers(cluster_api: client.ApiClient) -> Autoscalers:
    return Autoscalers(cluster_api)


@pytest.fixture
def keda(server: OnCluster) -> Scaled:
    return Scaled(server, "ScaledObject")


@pytest.fixture
def hpa(server: OnCluster) -> Scaled:
    return Scaled(server, "HorizontalPodAutoscaler")


@pytest.fixture(params=["ScaledObject", "HorizontalPodAutoscaler"])
def scaled(request: pytest.FixtureRequest, server: OnCluster) -> Scaled:
    """Each of the two."""
    return Scaled(server, request.param)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Do something between our read and our patch, the first few times; counts the patches."""
    genuine, patches = Autoscalers._patch, []

    def install(meanwhile: Callable[[], object], times: int = 1) -> list[int]:
        def patch(self: Autoscalers, *args: Any, **options: Any) -> None:
            patches.append(1)
            if len(patches) <= times:
                meanwhile()
            genuine(self, *args, **options)

        monkeypatch.setattr(Autoscalers, "_patch", patch)
        return patches

    return install


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any], Any], None]:
    """Let an activity do its work, and lose its answer."""
    genuine = Autoscalers._patch

    def applied_but_not_heard(self: Autoscalers, *args: Any, **options: Any) -> None:
        genuine(self, *args, **options)
        raise Unavailable("the connection broke")

    def run(method: Callable[[Any], Any], request: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Autoscalers, "_patch", applied_but_not_heard)
            with pytest.raises(Unavailable):
                method(request)

    return run
