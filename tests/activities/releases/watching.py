"""A release that is watched, on figures that a test sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from activities.monitoring.figures import Figures
from activities.releases.watch import ReleaseWatch, WatchRelease
from sandbox.prometheus import Prometheus
from sandbox.ready import ready
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.kubernetes.on_cluster import eventually

USUAL = Figures(error_rate=0.001, p95_latency=0.2)


WELL = {"status": "healthy"}


class Release:
    """Says its figures to Prometheus, and how it is to whoever asks."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.health: dict[str, str] = WELL
        self.app = Starlette(routes=[Route("/metrics", self._metrics), Route("/health", self._health)])
        self.url = ""

    async def _metrics(self, _: Request) -> Response:
        return PlainTextResponse("".join(f"{name} {value}\n" for name, value in self.figures.items()))

    async def _health(self, _: Request) -> Response:
        return JSONResponse(self.health, 200 if self.health == WELL else 503)


@dataclass
class Watching:
    """A release, the Prometheus that scrapes it, and who watches both."""

    release: Release
    prometheus: Prometheus
    watch: ReleaseWatch

    def say(self, **figures: float) -> None:
        """Set the figures, and wait until Prometheus has them."""
        self.release.figures = figures
        wanted = {name: figures.get(name) for name in ("errors", "p95")}
        eventually(lambda: {name: self.seen(name) for name in wanted} == wanted)

    def seen(self, name: str) -> float | None:
        found = httpx.get(f"{self.prometheus.url}/api/v1/query", params={"query": name}).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def request(self, **changed: Any) -> WatchRelease:
        return WatchRelease(
            error_rate="errors",
            p95_latency="p95",
            health_url=f"{self.release.url}/health",
            baseline=USUAL,
            error_rate_rise=0.02,
            latency_factor=1.5,
            breach_for=timedelta(seconds=1),
            lasting=timedelta(seconds=2),
            every=timedelta(seconds=0.1),
        ).model_copy(update=changed)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    release = Release()
    with serving(release.app, Misbehaviour()) as release.url, httpx.Client(trust_env=False) as http:
        target = release.url.removeprefix("http://")
        with ready(Prometheus(tmp_path_factory.mktemp("prometheus"), targets={"release": target})) as server:
            yield Watching(release, server, ReleaseWatch(http, server.url))
