"""The security incidents whose histories are kept (runbook 8.1)."""

from activities.catalogue.security import AccessPolicy, BlockPolicy
from tests.replay.cases import Case, Handle, waiting
from tests.workflows.steering import until
from tests.workflows.worlds.breached import ROTATABLE, Breached, pod
from workflows.platform.approval import Decision
from workflows.security.security_incident import SecurityIncidentRequest

REQUEST = SecurityIncidentRequest(nodes=["node-a"], initial_findings="A process too many")


async def says(handle: Handle, who: str, question: str, choice: str) -> None:
    word = Decision(who=who, role="security", question=question, choice=choice, reason="the evidence is kept")
    await handle.execute_update("decide", word)


async def both_force(handle: Handle, question: str) -> None:
    await waiting(handle, f"decide {question}")
    await says(handle, "ada", question, "force")
    await says(handle, "bob", question, "force")


async def drains_and_returns(handle: Handle, world: Breached) -> None:
    await both_force(handle, "drain-1")
    await waiting(handle, "decide return")
    await says(handle, "ada", "legal", "none")
    await says(handle, "ada", "return", "uncordon")


async def waits_for_a_budget(handle: Handle, world: Breached) -> None:
    await both_force(handle, "drain-1")
    await waiting(handle, "decide drain-2")
    world.budget = ""
    await both_force(handle, "drain-2")
    await waiting(handle, "decide return")
    await says(handle, "ada", "return", "replace")


async def rotates_all(handle: Handle, world: Breached) -> None:
    await asked(handle, "rotate-1")
    await says(handle, "ada", "rotate-1", "all")
    await says(handle, "bob", "rotate-1", "all")
    await asked(handle, "end-2")
    await says(handle, "ada", "end-2", "end")
    await asked(handle, "end-3")
    await says(handle, "ada", "end-3", "leave")


async def asked(handle: Handle, question: str) -> None:
    await until(handle, lambda status: any(each.id == question for each in status.questions))


async def cancels(handle: Handle, world: Breached) -> None:
    await waiting(handle, "decide drain-1")
    await handle.cancel()


def blocked(world: Breached) -> None:
    world.budget = "blocked by PodDisruptionBudget careful (2 healthy, needs 2)"
    world.arrives = [pod("late")]


def spoilt(world: Breached) -> None:
    world.verifies = False


async def blocks_for_a_time(handle: Handle, world: Breached) -> None:
    await asked(handle, "block")
    await says(handle, "ada", "block", "for-a-time")
    await says(handle, "bob", "block", "for-a-time")


def blocking() -> Breached:
    return Breached(blocks=BlockPolicy(never=("8.8.4.0/24",), ingresses=("web",)))


async def blocks_what_was_found(handle: Handle, world: Breached) -> None:
    await asked(handle, "block-found")
    await says(handle, "ada", "block-found", "for-a-time")
    await says(handle, "bob", "block-found", "for-a-time")


def reviewing() -> Breached:
    world = Breached(
        blocks=BlockPolicy(never=("8.8.4.0/24",), ingresses=("web",)),
        accesses=AccessPolicy(controller_namespace="ingress-nginx", database="main", query="SELECT at, address"),
    )
    world.suspects = ["8.8.8.8/32"]
    return world


def rotatable() -> Breached:
    return Breached(credentials=ROTATABLE)


def used(world: Breached) -> None:
    world.uses = ["1 × a job from 10.0.0.7"]


CASES: dict[str, Case] = {
    "security_incident-contained": Case(REQUEST, drains_and_returns, world=Breached),
    "security_incident-blocked": Case(REQUEST, waits_for_a_budget, blocked, Breached),
    "security_incident-not-kept": Case(REQUEST, prepare=spoilt, world=Breached),
    "security_incident-cancelled": Case(REQUEST, cancels, world=Breached, cancelled=True),
    "security_incident-blocks": Case(
        REQUEST.model_copy(update={"block": ["8.8.8.8/32"]}), blocks_for_a_time, world=blocking
    ),
    "security_incident-accesses": Case(REQUEST, blocks_what_was_found, world=reviewing),
    "security_incident-rotated": Case(REQUEST, rotates_all, used, rotatable),
    "security_incident-rotation-planned": Case(
        SecurityIncidentRequest(rotate=["signing"], dry_run=True), world=rotatable
    ),
    "security_incident-planned": Case(REQUEST.model_copy(update={"dry_run": True}), world=Breached),
}
