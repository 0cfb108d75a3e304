"""`python -m workers`: run the procedures. Any number may run; SIGTERM lets running activities finish."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import Interceptor

from workers import own_settings, telemetry
from workers.clients import connect, register_search_attributes
from workers.settings import Settings, SettingsError
from workers.tracing import interceptors as traced
from workers.tracing import tracing
from workers.wiring import Wired, wire
from workers.worker import version, working

_CONNECT_ATTEMPTS = 30


async def serve(settings: Settings, *, interceptors: Sequence[Interceptor] = ()) -> None:
    """Work until SIGTERM or SIGINT."""
    log = structlog.get_logger("workers")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tracing(settings.observability, "worker") as tracer, wire(settings, tracer) as wired:
        client = await _connect(settings, log, traced(tracer))
        if added := await register_search_attributes(client):
            log.info("search attributes registered", added=added)
        async with working(
            client, settings.temporal, wired.queues, wired.steps, how=settings.worker, interceptors=interceptors
        ) as task_queues:
            log.info(
                "worker started",
                address=settings.temporal.address,
                namespace=settings.temporal.namespace,
                task_queues=task_queues,
            )
            if ours := version(settings.worker):
                log.info(
                    "gets runs once its version is current",
                    deployment=ours.deployment_name,
                    build_id=ours.build_id,
                    how=f"runbooks deployments current {ours.build_id}",
                )
            await _until(stop, wired)
            log.info("worker stopping", grace=str(settings.temporal.graceful_shutdown))
    log.info("worker stopped")


async def _until(stop: asyncio.Event, wired: Wired) -> None:
    """Wait for the end; meanwhile, and beside the first steps, make what those have not asked for yet."""
    loop = asyncio.get_running_loop()
    warm: asyncio.Future[None] = loop.create_future()

    def warm_up() -> None:
        try:
            wired.warm_up()
        except BaseException as error:  # noqa: BLE001  told where it is waited for
            loop.call_soon_threadsafe(_end, warm, error)
        else:
            loop.call_soon_threadsafe(_end, warm, None)

    # A thread that nobody waits for: whoever stops a worker that has just started does not wait for libraries.
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    stopped = asyncio.create_task(stop.wait())
    either: set[asyncio.Future[Any]] = {warm, stopped}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if warm.done():
        warm.result()
    await stopped


def _end(waited_for: "asyncio.Future[None]", error: BaseException | None) -> None:
    if waited_for.done():
        return
    if error is None:
        waited_for.set_result(None)
    else:
        waited_for.set_exception(error)


async def _connect(
    settings: Settings, log: structlog.stdlib.BoundLogger, interceptors: list[ClientInterceptor]
) -> Client:
    runtime = telemetry.runtime(settings.observability)
    for attempt in range(1, _CONNECT_ATTEMPTS + 1):
        try:
            return await connect(settings.temporal, interceptors=interceptors, runtime=runtime)
        except RuntimeError:
            if attempt == _CONNECT_ATTEMPTS:
                raise
            log.warning("Temporal does not answer yet", address=settings.temporal.address, attempt=attempt)
            await asyncio.sleep(1)
    raise AssertionError


def main() -> int:
    """Run a worker; 2 for wrong settings, 1 when Temporal doesn't answer."""
    try:
        settings = own_settings.load()
        telemetry.configure_logging(settings.observability)
        asyncio.run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except RuntimeError as error:
        structlog.get_logger("workers").error("Temporal does not answer", why=str(error))
        return 1
    return 0


if __name__ == "__main__":
    ended = main()
    # Not by way of the interpreter's own end: taking all modules apart takes seconds on a busy machine, and by then all
    # that mattered is done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)
