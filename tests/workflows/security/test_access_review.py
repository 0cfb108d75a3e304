"""What a security incident does with what the review of accesses finds."""

from temporalio.client import Client

from activities.catalogue.security import AccessPolicy, BlockPolicy
from tests.workflows.conftest import Working
from tests.workflows.security.blocked import NAME, asked, says
from tests.workflows.security.reviews import report
from tests.workflows.steering import begin, told
from tests.workflows.worlds.breached import Breached
from workflows.security.security_incident import SecurityIncidentRequest

ACCESSES = AccessPolicy(controller_namespace="ingress-nginx", database="main", query="SELECT at, address FROM calls")
BLOCKS = BlockPolicy(never=("8.8.4.0/24",), ingresses=("web",))
REQUEST = SecurityIncidentRequest(nodes=["node-a"])


def breached(*suspects: str) -> Breached:
    world = Breached(accesses=ACCESSES, blocks=BLOCKS)
    world.suspects = list(suspects)
    return world


async def test_every_source_is_reviewed_and_people_are_asked_about_what_it_found(
    working: Working, client: Client
) -> None:
    world = breached("8.8.8.8/32")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        question = await asked(handle, "block-found")
        assert "8.8.8.8/32" in question.title
        for who in ("ada", "bob"):
            await says(handle, who, "block-found", "for-good")
        result = await handle.result()
    assert {each.source for each in world.done("accesses.review")} == {"ingress", "database"}
    assert [each.addresses for each in world.done("blocks.block")] == [["8.8.8.8/32"]]
    assert result["addresses"] == {"8.8.8.8/32": "blocked for good"}
    accesses = report(world)["accesses"]
    assert isinstance(accesses, dict)
    assert accesses["database"]["findings"]["refused address"] == 1
    assert report(world)["not done"] == [
        "no credential was rotated: settings name none (8.1 step 4)",
        "accesses (database): not judged, nothing is known from before: new place",
        "accesses (ingress): not judged, nothing is known from before: new place",
        "processes, open connections and memory of the pods were not kept",
    ]


async def test_who_is_named_is_not_asked_about_twice(working: Working, client: Client) -> None:
    world = breached("8.8.8.8/32", "1.1.1.1/32")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"block": ["8.8.8.0/24"]}), NAME)
        named, found = await asked(handle, "block"), await asked(handle, "block-found")
        assert ("1.1.1.1" in named.title, "8.8.8" in found.title) == (False, False)
        await says(handle, "ada", "block", "none")
        for who in ("ada", "bob"):
            await says(handle, who, "block-found", "for-a-time")
        result = await handle.result()
    assert result["addresses"]["1.1.1.1/32"].startswith("blocked until")
    assert result["addresses"]["8.8.8.0/24"].startswith("not blocked")
    assert len(world.done("blocks.unblock")) == 1


async def test_one_source_that_fails_leaves_the_other_and_is_told(working: Working, client: Client) -> None:
    world = breached("8.8.8.8/32")
    world.down = {"accesses.database"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "block-found")
        await says(handle, "ada", "block-found", "none")
        await handle.result()
    assert any("accesses could not be reviewed: database" in page.summary for page in world.done("paging.page"))
    assert "accesses were not reviewed: database failed (8.1 step 5)" in str(report(world)["not done"])


async def test_without_settings_nothing_is_reviewed_and_the_report_says_so(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        await (await begin(client, queue, REQUEST, NAME)).result()
    assert world.done("accesses.review") == []
    assert "settings name no place where they are kept" in str(report(world)["not done"])


async def test_a_plan_reviews_and_asks_nobody(working: Working, client: Client) -> None:
    world = breached("8.8.8.8/32")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"dry_run": True}), NAME)
        await handle.result()
        assert "would ask two persons whether to block 8.8.8.8/32" in await told(handle)
    assert world.effects == []
