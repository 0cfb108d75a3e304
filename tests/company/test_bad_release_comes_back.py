"""A bad release that a run has left is not put back: not by a second alert, not by a person's start an hour later."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.common.errors import Refused
from activities.kubernetes.cluster import Kubernetes, UndoRollout
from activities.releases.helm import DescribeRelease
from sandbox import manifests
from tests.activities.kubernetes.on_cluster import OnCluster, an_effect, eventually
from tests.activities.releases.on_helm import OnHelm
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import close, start, until
from tests.workflows.steering import begin, cause, waiting_for
from tests.workflows.worlds.platform import BAD, GOOD, Platform, image
from tests.workflows.worlds.world import World
from workflows.deployment.rollback import RollbackRequest
from workflows.deployment.rollback_target import pin
from workflows.platform.approval import Decision
from workflows.shared.releases import Releases

ADA = {"who": "ada", "role": "engineering-lead"}


# -- alerts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("records", [True, False])
async def test_a_second_alert_does_not_roll_back_to_what_the_first_one_left(
    working: Working, client: Client, *, records: bool
) -> None:
    world = World()
    world.bad_release()
    if not records:
        world.down.add("records")
    async with working(world.activities()) as queue:
        first = await start(client, queue)
        while not (world.healthy and world.done("kubernetes.undo_rollout")):
            await asyncio.sleep(0.02)
        world.break_down()  # another pod's alert: the service is down again, with v1.2.3
        second = await start(client, queue)
        status = await until(second, "decide mitigation-1")
        assert "rollback" not in status.questions[0].options
        for run in (first, second):
            await run.terminate()
    assert len(world.done("kubernetes.undo_rollout")) == 1
    assert world.images[world.revision].endswith("v1.2.3")


async def test_what_an_incident_left_is_written_down(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        await close(await start(client, queue))
    (record,) = world.done("records.record_deployment")
    assert (record.version, record.status, record.revision) == ("v1.2.4", "rolled_back", 2)
    assert "v1.2.4 was rolled out" in record.reason


async def test_a_bad_release_that_was_restarted_is_left_for_the_one_before(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    world.images[3], world.revision = world.images[2], 3  # somebody ran `kubectl rollout restart`
    async with working(world.activities()) as queue:
        await close(await start(client, queue))
    assert [one.to_revision for one in world.done("kubernetes.undo_rollout")] == [1]


async def test_two_bad_releases_in_a_row_are_not_taken_back_by_one_unasked(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()  # nobody has recorded anything of v1.2.4
    world.images[3], world.revision = "registry.example/tensafe-server:v1.2.5", 3
    world.ages = {1: timedelta(days=3), 2: timedelta(minutes=6), 3: timedelta(minutes=1)}
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "decide mitigation-1")
        (question,) = status.questions
        assert question.recommended == "rollback"
        said = question.options["rollback"]
        assert "from v1.2.5 to v1.2.3 (revision 1); in doubt: v1.2.4 (revision 2): it was in force for 5 min" in said
        assert not world.done("kubernetes.undo_rollout")
        word = Decision(who="grace", role="commander", question=question.id, choice="rollback")
        await handle.execute_update("decide", word)
        await close(handle)
    assert [one.to_revision for one in world.done("kubernetes.undo_rollout")] == [1]


@pytest.mark.parametrize(("answer", "to"), [("roll-back", [1]), ("leave", [])])
async def test_a_rollback_by_hand_asks_before_it_passes_one_over(
    working: Working, client: Client, answer: str, to: list[int]
) -> None:
    world = Platform()
    world.images = {1: image(GOOD), 2: image(BAD), 3: image("v1.2.5")}
    world.ages = {1: timedelta(days=3), 2: timedelta(minutes=6), 3: timedelta(minutes=1)}
    world.revision, world.healthy = 3, False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(), "rollback")
        status = await waiting_for(handle, "decide in-doubt")
        assert f"{BAD} (revision 2): it was in force for 5 min only" in status.questions[0].evidence
        assert not world.done("kubernetes.undo_rollout")
        await handle.execute_update("decide", Decision(**ADA, question="in-doubt", choice=answer))
        await handle.result()
    assert [one.to_revision for one in world.done("kubernetes.undo_rollout")] == to


# -- a person starts it --------------------------------------------------------------------------------------


async def test_a_healthy_service_is_not_taken_back_unasked(working: Working, client: Client) -> None:
    world = Platform()
    world.images, world.revision = {1: image(BAD), 2: image(GOOD)}, 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(), "rollback")
        status = await waiting_for(handle, "decide healthy")
        assert "is healthy: take it back" in status.questions[0].title
        assert not world.done("kubernetes.undo_rollout")
        await handle.execute_update("decide", Decision(**ADA, question="healthy", choice="leave"))
        result = await handle.result()
    assert (result["by"], result["healthy"], result["to_version"]) == ("nothing", True, GOOD)
    assert not world.done("kubernetes.undo_rollout")
    assert not world.done("records.record_deployment")


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_person_who_insists_gets_it(working: Working, client: Client, *, confirmed: bool) -> None:
    world = Platform()
    world.images, world.revision = {1: image(BAD), 2: image(GOOD)}, 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(confirmed=confirmed), "rollback")
        if not confirmed:
            await waiting_for(handle, "decide healthy")
            await handle.execute_update("decide", Decision(**ADA, question="healthy", choice="roll-back"))
        result = await handle.result()
    assert result["by"] == "rollout undo"
    assert len(world.done("kubernetes.undo_rollout")) == 1


async def test_without_a_release_to_go_back_to_it_says_which_were_left(working: Working, client: Client) -> None:
    world = Platform()
    world.images, world.revision = {1: image(GOOD), 2: image(BAD), 3: image(GOOD)}, 3
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(), "rollback")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert f"{BAD} failed, or was left before. Name one with to_revision" in cause(failed.value).message


# -- on a real cluster ---------------------------------------------------------------------------------------


def test_kubernetes_itself_remembers_what_was_left(kubernetes: Kubernetes, server: OnCluster) -> None:
    bad = server.release(manifests.BAD_IMAGE)
    before = Releases(kubernetes.deployment(server.workload))
    assert before.last_good is not None
    undo = UndoRollout(**server.target, to_revision=before.last_good.number, from_revision=bad, effect=an_effect())
    assert kubernetes.undo_rollout(undo).applied
    server.settled()
    for restarted in (False, True):
        if restarted:
            server.kubectl("rollout", "restart", f"deployment/{server.name}")
            server.settled()
        after = Releases(kubernetes.deployment(server.workload))
        assert (after.current, after.last_good, after.unwanted, after.released_at) == ("v1.2.3", None, ["v1.2.4"], None)


def test_a_restart_of_a_bad_release_is_no_other_one(kubernetes: Kubernetes, server: OnCluster) -> None:
    server.release(manifests.BAD_IMAGE)
    server.kubectl("rollout", "restart", f"deployment/{server.name}")
    eventually(lambda: kubernetes.deployment(server.workload).current_revision == 3)
    releases = Releases(kubernetes.deployment(server.workload))
    assert releases.last_good is not None
    assert releases.last_good.number == 1


def test_a_change_of_configuration_under_one_tag_is_another_release(kubernetes: Kubernetes, server: OnCluster) -> None:
    container = {"name": server.name, "env": [{"name": "MODE", "value": "new"}]}
    server.patch({"spec": {"template": {"spec": {"containers": [container]}}}})
    eventually(lambda: kubernetes.deployment(server.workload).current_revision == 2)
    releases = Releases(kubernetes.deployment(server.workload))
    assert [one.number for one in releases.state.revisions] == [1, 2]
    assert releases.last_good is not None
    assert releases.last_good.number == 1


def test_a_sidecar_names_no_release(kubernetes: Kubernetes, server: OnCluster) -> None:
    containers = [{"name": "proxy", "image": "mesh/proxy:1.9"}, {"name": server.name, "image": manifests.GOOD_IMAGE}]
    order = [{"name": "proxy"}, {"name": server.name}]
    server.patch({"spec": {"template": {"spec": {"containers": containers, "$setElementOrder/containers": order}}}})
    server.release(manifests.BAD_IMAGE)
    state = kubernetes.deployment(server.workload)
    assert Releases(state, container=server.name).current == "v1.2.4"


LASTING = timedelta(seconds=15)


def test_kubernetes_itself_knows_which_release_was_short(kubernetes: Kubernetes, server: OnCluster) -> None:
    (first,) = kubernetes.deployment(server.workload).revisions
    eventually(lambda: datetime.now(UTC) - first.created_at > LASTING)
    server.release(manifests.BAD_IMAGE)
    server.release(manifests.BAD_IMAGE.replace(BAD, "v1.2.5"))
    releases = Releases(kubernetes.deployment(server.workload), proven_after=LASTING)
    assert (releases.current, releases.last_good) == ("v1.2.5", releases.state.revisions[0])
    (doubt,) = releases.in_doubt
    assert doubt.startswith(f"{BAD} (revision 2): it was in force for ")


def test_helm_itself_knows_which_release_was_short(released: OnHelm, kubernetes: Kubernetes) -> None:
    asked = DescribeRelease(**released.where)
    (first,) = released.run(released.helm.release, asked).revisions
    eventually(lambda: datetime.now(UTC) - first.updated_at > LASTING)
    released.release(BAD)
    released.release("v1.2.5")
    eventually(lambda: kubernetes.deployment(released.server.workload).current_revision == 3)
    state = Releases(kubernetes.deployment(released.server.workload), proven_after=LASTING)
    target = pin(state, released.run(released.helm.release, asked), revision=None, helm_revision=None)
    assert (target.by_helm, target.to_revision) == (True, 1)
    (doubt,) = target.in_doubt
    assert doubt.startswith(f"{BAD} (Helm revision 2): it was in force for ")


def test_helm_does_not_go_back_to_what_it_left(released: OnHelm, kubernetes: Kubernetes) -> None:
    released.release(BAD)
    change = released.run(released.helm.rollback, released.rollback())
    assert change.deployed, change
    state = Releases(kubernetes.deployment(released.server.workload))
    asked = DescribeRelease(**released.where)
    with pytest.raises(Refused, match=r"no earlier good revision to go back to: .*2.* was left before"):
        pin(state, released.run(released.helm.release, asked), revision=None, helm_revision=None)


def test_helm_goes_back_from_a_digest_and_beside_a_sidecar(released: OnHelm, kubernetes: Kubernetes) -> None:
    """People's releases aren't called as ours: Helm says a digest, and the pods have another version as well."""
    server = released.server
    sidecar = {"name": "proxy", "image": "mesh/proxy:1.9"}
    server.patch({"spec": {"template": {"spec": {"containers": [sidecar]}}}})
    eventually(lambda: kubernetes.deployment(server.workload).current_revision == 2)
    released.release(f"{BAD}@sha256:{'a' * 64}")
    server.patch({"spec": {"template": {"spec": {"containers": [{**sidecar, "image": "mesh/proxy:2.0"}]}}}})
    eventually(lambda: "mesh/proxy:2.0" in str(kubernetes.deployment(server.workload).current))
    state = Releases(kubernetes.deployment(server.workload))
    asked = DescribeRelease(**released.where)
    target = pin(state, released.run(released.helm.release, asked), revision=None, helm_revision=None)
    assert (target.by_helm, target.from_version, target.to_revision) == (True, BAD, 1)
    assert (BAD in state.current, "2.0" in state.current, "sha256" in state.current) == (True, True, False)
