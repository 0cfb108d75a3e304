"""`python -m bench.lease_worker`: the product's worker, with two stand-ins that let many runs share one Deployment.

Every run needs an autoscaler of its own, and a service of the catalogue that names it: the service is found by the
ScaledObject's name. The Deployment behind all of them is one: each run finds it at `REPLICAS`, as if it were its own
and nobody had scaled it yet. All else is the product, on real servers.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import structlog
from temporalio import activity

from activities.catalogue.lookup import Catalogue, Resolved, ResolveService
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.kubernetes.states import DeploymentState
from workers import settings, telemetry
from workers.clients import connect, register_search_attributes
from workers.settings import Settings
from workers.wiring import wire
from workers.worker import build

REPLICAS = 3

Activity = Callable[..., Any]


def _stand_ins(activities: list[Activity]) -> list[Activity]:
    """Put two of them in front of what they stand for."""
    names = {_name(one): one for one in activities}
    catalogue, read = names[_name(Catalogue.resolve)], names[_name(Kubernetes.deployment)]

    @activity.defn(name=_name(Catalogue.resolve))
    def resolve(request: ResolveService) -> Resolved:
        found: Resolved = catalogue(ResolveService())
        service = found.service.model_copy(update={"scaled_object": request.service, "hpa": None})
        return found.model_copy(update={"service": service})

    @activity.defn(name=_name(Kubernetes.deployment))
    def deployment(request: Workload) -> DeploymentState:
        state: DeploymentState = read(request)
        return state.model_copy(update={"replicas": REPLICAS})

    names |= {_name(resolve): resolve, _name(deployment): deployment}
    return list(names.values())


def _name(one: Activity) -> str:
    return str(getattr(one, "__temporal_activity_definition").name)


async def _serve(loaded: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with wire(loaded) as wired:
        client = await connect(loaded.temporal, runtime=telemetry.runtime(loaded.observability))
        await register_search_attributes(client)
        async with build(client, loaded.temporal, _stand_ins(wired.activities), how=loaded.worker):
            structlog.get_logger("bench").info("worker started")
            await stop.wait()


if __name__ == "__main__":
    read_settings = settings.load()
    telemetry.configure_logging(read_settings.observability)
    asyncio.run(_serve(read_settings))
