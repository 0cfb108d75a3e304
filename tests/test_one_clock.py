"""However many results are waited for, the clock jumps over no step."""

import asyncio
from datetime import timedelta
from threading import Event
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

_GOES_ON = Event()
_HOUR = timedelta(hours=1)


@activity.defn
async def works() -> None:
    await asyncio.to_thread(_GOES_ON.wait)


@workflow.defn(sandboxed=False)
class Works:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(works, start_to_close_timeout=30 * _HOUR)


@workflow.defn(sandboxed=False)
class Sleeps:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(20 * _HOUR)


async def test_a_step_in_flight_holds_the_clock_whoever_waits(time_skipping: WorkflowEnvironment) -> None:
    client, queue = time_skipping.client, f"q-{uuid4()}"
    _GOES_ON.clear()
    async with Worker(client, task_queue=queue, workflows=[Works, Sleeps], activities=[works]):
        handles = [await client.start_workflow(Works.run, id=f"works-{uuid4()}", task_queue=queue) for _ in range(2)]
        sleeper = await client.start_workflow(Sleeps.run, id=f"sleeps-{uuid4()}", task_queue=queue)
        before = await time_skipping.get_current_time()
        results = [*(one.result() for one in (*handles, *handles)), sleeper.result()]
        waits = [asyncio.create_task(result) for result in results]
        done, _ = await asyncio.wait(waits, timeout=1)
        passed = await time_skipping.get_current_time() - before
        _GOES_ON.set()
        await asyncio.gather(*waits)
    assert not done
    assert passed < _HOUR
    assert await time_skipping.get_current_time() - before >= 20 * _HOUR


async def test_who_lets_time_pass_beside_one_who_waits_takes_no_lock_of_theirs(
    time_skipping: WorkflowEnvironment,
) -> None:
    client, queue = time_skipping.client, f"q-{uuid4()}"
    _GOES_ON.clear()
    async with Worker(client, task_queue=queue, workflows=[Works, Sleeps], activities=[works]):
        handle = await client.start_workflow(Works.run, id=f"works-{uuid4()}", task_queue=queue)
        before = await time_skipping.get_current_time()
        waits = asyncio.create_task(handle.result())
        await asyncio.sleep(0.2)  # it waits by now
        sleeps = asyncio.create_task(time_skipping.sleep(20 * _HOUR))
        await asyncio.wait([waits, sleeps], timeout=1)
        passed = await time_skipping.get_current_time() - before
        assert passed < _HOUR
        _GOES_ON.set()
        await waits
        await sleeps
        assert await time_skipping.get_current_time() - before >= 20 * _HOUR


async def test_after_the_last_the_clock_stands(time_skipping: WorkflowEnvironment) -> None:
    client, queue = time_skipping.client, f"q-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Sleeps], activities=[works]):
        handles = [await client.start_workflow(Sleeps.run, id=f"sleeps-{uuid4()}", task_queue=queue) for _ in range(3)]
        await asyncio.gather(*(one.result() for one in handles))
        await client.start_workflow(Sleeps.run, id=f"sleeps-{uuid4()}", task_queue=queue)
        before = await time_skipping.get_current_time()
        await asyncio.sleep(0.5)
        assert await time_skipping.get_current_time() - before < timedelta(minutes=1)
