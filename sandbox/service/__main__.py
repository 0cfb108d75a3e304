"""`python -m sandbox.service`: answer `/health` and `/metrics` for one Deployment of the sandbox's cluster."""

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import kubernetes_api
from sandbox.ports import LOOPBACK
from sandbox.service.autoscaler import AutoscalerStatus
from sandbox.service.database import DatabaseUse
from sandbox.service.pod_logs import PodLogs
from sandbox.service.state import ServiceState
from sandbox.service.traffic import Traffic

_FULL_PERCENT = 100


def application(
    state: ServiceState, traffic: Traffic, parts: AutoscalerStatus, logs: PodLogs, database: DatabaseUse
) -> Starlette:
    """Put the endpoints together."""

    async def health(_: Request) -> Response:
        now = state.now
        body = {"status": now.status, "version": now.version, "ready": now.ready, "desired": now.desired}
        if now.database is not None:
            body["database"] = now.database
        code = HTTPStatus.SERVICE_UNAVAILABLE if now.status == "unhealthy" else HTTPStatus.OK
        return JSONResponse(body, status_code=code)

    async def metrics(_: Request) -> Response:
        return Response(traffic.exposition(), media_type="text/plain; version=0.0.4")

    def load(request: Request) -> Response:
        """Change how many requests arrive in a second, to saturate the service or to relieve it."""
        traffic.requests_per_second = float(request.path_params["requests_per_second"])
        parts.update(state.now)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        state.on_change(parts.update)
        state.on_change(logs.update)
        for part in (state, traffic, logs, database):
            part.start()
        yield
        for part in (state, traffic, logs, database):
            part.stop()

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/load/{requests_per_second:float}", load, methods=["PUT"]),
            Route("/gpu/{percent:float}", _share(traffic, "gpu_utilisation"), methods=["PUT"]),
            Route("/errors/{percent:float}", _share(traffic, "failing"), methods=["PUT"]),
        ],
        lifespan=lifespan,
    )


def _share(traffic: Traffic, name: Literal["gpu_utilisation", "failing"]) -> Callable[[Request], Response]:
    """Change a share of the traffic, in percent."""

    def put(request: Request) -> Response:
        percent = float(request.path_params["percent"])
        if not 0 <= percent <= _FULL_PERCENT:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        setattr(traffic, name, percent / _FULL_PERCENT)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return put


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.service", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", default="tensafe")
    parser.add_argument("--deployment", default="tensafe-server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--logs", type=Path, required=True, help="folder for the pods' log files")
    parser.add_argument("--database-secret", default="tensafe-database", help="with the URL of its database, if any")
    parser.add_argument("--requests-per-second", type=float, default=40.0)
    options = parser.parse_args()
    api = kubernetes_api.connect(options.kubeconfig)
    state = ServiceState(api, options.namespace, options.deployment)
    traffic = Traffic(options.deployment, lambda: state.now, options.requests_per_second)
    parts = AutoscalerStatus(api, options.namespace, options.deployment, traffic.utilisation)
    logs = PodLogs(api, options.namespace, options.logs)
    database = DatabaseUse(api, options.namespace, options.database_secret, state)
    uvicorn.run(
        application(state, traffic, parts, logs, database),
        host=LOOPBACK,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
