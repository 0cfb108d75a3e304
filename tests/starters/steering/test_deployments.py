"""Two versions of the workers, on the real server: open runs end, new ones go where people say, none waits unseen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import Worker

from starters.cli.deployment_table import show
from starters.cli.people import Stop
from starters.steering import deployments
from starters.steering.deployments import Deployment, look, make_current, ramp, runs_of
from starters.steering.errors import NoSuchRun, Refused
from starters.steering.session import Session
from tests.workflows.conftest import company  # noqa: F401
from tests.workflows.steering import Handle, begin, texts, until, waiting_for
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.maintained import Maintained
from tests.workflows.worlds.platform import Platform, image
from tests.workflows.worlds.world import instead
from workers.registry import PROCEDURES
from workers.settings import Settings, TemporalSettings
from workers.worker import CHECKED, build
from workflows.deployment.rollback import RollbackRequest
from workflows.maintenance.maintenance_window import MaintenanceWindowRequest
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "on-call"}
TIMEOUT = 20.0


class Release:
    """A deployment of its own, of which workers of any version come and go."""

    def __init__(self, session: Session, activities: list[Callable[..., Any]]) -> None:
        self.session = session
        self._activities = activities

    @asynccontextmanager
    async def worker(self, build_id: str | None) -> AsyncIterator[Worker]:
        """Work as a version, or without one."""
        name = self.session.settings.worker.deployment if build_id else None
        how = CHECKED.model_copy(update={"deployment": name, "build_id": build_id})
        worker = build(self.session.client, self.session.settings.temporal, self._activities, how=how)
        async with worker:
            if build_id:
                await self.seen(build_id)
            yield worker

    async def seen(self, build_id: str) -> None:
        await self.becomes(lambda found: any(one.build_id == build_id and one.workers for one in found.versions))

    async def becomes(self, wanted: Callable[[Deployment], bool]) -> Deployment:
        """Wait until the server tells what is wanted: it counts and routes a little later."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    found = await look(self.session)
                except NoSuchRun:
                    found = None
                if found and wanted(found):
                    return found
                await asyncio.sleep(0.1)

    async def rollback(self) -> Handle:
        """Start a run that ends with the version that it began with: it asks, since the service is healthy."""
        return await begin(self.session.client, self.queue, RollbackRequest(), "rollback")

    async def window(self) -> Handle:
        """Start a run that lasts for days."""
        starts = datetime.now(UTC) + timedelta(days=3)
        request = MaintenanceWindowRequest(title="Upgrade", starts_at=starts, ends_at=starts + timedelta(hours=1))
        return await begin(self.session.client, self.queue, request, "maintenance_window")

    @property
    def queue(self) -> str:
        return self.session.settings.temporal.task_queue


@pytest.fixture
async def release(temporal_address: str, client: Client, company: Company) -> Release:  # noqa: F811
    name = f"namespace/d-{uuid4()}"  # as Temporal's worker controller calls them
    settings = Settings(
        temporal=TemporalSettings(address=temporal_address, task_queue=name),
        worker={"deployment": name},
    )
    window, platform = Maintained(company), Platform()
    platform.images, platform.revision = {1: image("v1.2.3"), 2: image("v1.2.4")}, 2
    return Release(Session(settings, client), instead(window.activities(), *platform.activities()))


async def at_version(handle: Handle) -> str:
    info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
    return info.deployment_version.build_id


async def asks(handle: Handle) -> None:
    await waiting_for(handle, "decide healthy")


async def entered(handle: Handle) -> None:
    await until(handle, lambda status: "Enter the window" in texts(status))


async def noted(handle: Handle) -> None:
    await handle.execute_update("note", {**ADA, "text": "hello"})


async def ends(handle: Handle) -> None:
    await handle.execute_update("decide", Decision(**ADA, question="healthy", choice="leave"))
    assert (await handle.result())["by"] == "nothing"


async def moved(handle: Handle, build_id: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while await at_version(handle) != build_id:
            await noted(handle)


async def test_open_runs_end_while_versions_come_and_go_back(release: Release) -> None:
    session = release.session
    async with release.worker(None):
        before = await release.rollback()
        await asks(before)
    async with release.worker("v1") as one:
        assert (await look(session)).current is None
        waits = await release.rollback()
        with pytest.raises(Stop, match="no version is current, so no run begins"):
            await show(session)
        await make_current(session, "v1", "ada")
        await asks(waits)
        assert await at_version(waits) == "v1"
        # What was open without a version moves on.
        await noted(before)
        assert await at_version(before) == "v1"
        short, long = await release.rollback(), await release.window()
        await asks(short)
        await entered(long)

        async with release.worker("v2"):
            await make_current(session, "v2", "ada")
            found = await release.becomes(lambda found: found.current is not None and found.current.build_id == "v2")
            assert [(each.build_id, each.status) for each in found.versions] == [("v2", "current"), ("v1", "draining")]
            new = await release.rollback()
            await asks(new)
            await noted(short)
            await moved(long, "v2")
            assert (await at_version(new), await at_version(short)) == ("v2", "v1")

            # The bad version is taken back: what began with it ends with it, and what is long returns.
            await make_current(session, "v1", "ada")
            back = await release.rollback()
            await asks(back)
            await moved(long, "v1")
            assert await at_version(back) == "v1"
            await ends(new)

            await make_current(session, "v2", "ada")
            await release.becomes(lambda found: found.current is not None and found.current.build_id == "v2")
            await one.shutdown()
            stranded = await release.becomes(lambda found: any(each.stranded for each in found.versions))
            assert {each.build_id for each in stranded.versions if each.stranded} == {"v1"}
            with pytest.raises(Stop, match=r"4 open runs of v1 wait for a worker that is not there"):
                await show(session)
            with pytest.raises(Refused, match="no worker of v1 asks for work"):
                await make_current(session, "v1", "ada")
            assert short.id in {workflow_id for workflow_id, _ in await runs_of(session, "v1", 10)}
            async with release.worker("v1"):
                for each in (before, waits, short, back):
                    await ends(each)
            await long.cancel()
    assert (await look(session)).unversioned_runs == 0


async def test_some_of_the_new_runs_try_a_version(release: Release) -> None:
    session = release.session
    async with release.worker("v1"), release.worker("v2"):
        await make_current(session, "v1", "ada")
        await ramp(session, "v2", 100, "ada")
        found = await release.becomes(lambda found: found.versions[0].status == "ramping")
        assert (found.versions[0].build_id, found.versions[0].percentage) == ("v2", 100)
        tried = await release.rollback()
        await asks(tried)
        assert await at_version(tried) == "v2"
        await ramp(session, "v2", 0, "ada")
        await release.becomes(lambda found: all(each.status != "ramping" for each in found.versions))
        other = await release.rollback()
        await asks(other)
        assert await at_version(other) == "v1"
        with pytest.raises(Refused, match="v1 is the current version"):
            await ramp(session, "v1", 10, "ada")
        with pytest.raises(NoSuchRun, match=r"has no version v3\. Known: "):
            await make_current(session, "v3", "ada")
        await ends(tried)
        await ends(other)


async def test_without_versions_it_says_what_to_do(temporal_address: str, client: Client) -> None:
    settings = Settings(temporal=TemporalSettings(address=temporal_address))
    with pytest.raises(Refused, match=r"`\[worker\] deployment` names none"):
        await look(Session(settings, client))
    named = Settings(temporal=TemporalSettings(address=temporal_address), worker={"deployment": "nobody"})
    with pytest.raises(NoSuchRun, match="no worker of deployment nobody has started yet"):
        await look(Session(named, client))


def test_what_may_take_days_moves_on() -> None:
    """Who adds a procedure says it in its class; for the others an old version is kept until they have ended."""
    long = {known.name for known in PROCEDURES if known.workflow.VERSIONING is VersioningBehavior.AUTO_UPGRADE}
    assert long == {
        "api_key_rotation",
        "churn_prevention",
        "enterprise_onboarding",
        "full_service_recovery",
        "issue_escalation",
        "maintenance_window",
        "point_in_time_restore",
        "security_incident",
    }
    assert deployments.MOST_VERSIONS == 100
