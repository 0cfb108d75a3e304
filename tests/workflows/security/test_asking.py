"""While one question is answered, the run still says that it waits for the others."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.security.incidents import NAME, REQUEST, says
from tests.workflows.steering import begin, until, waiting_for
from tests.workflows.worlds.breached import Breached


async def test_a_run_waits_for_what_is_still_open(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await until(handle, lambda status: {each.id for each in status.questions} == {"legal", "return"})
        await says(handle, "ada", "return", "leave")
        status = await until(handle, lambda status: {each.id for each in status.questions} == {"legal"})
        assert status.waiting_for == "decide legal"
        await says(handle, "ada", "legal", "none", "no personal data on that node")
        status = await until(handle, lambda status: not status.questions)
        assert status.waiting_for == ""
        await handle.result()
