"""The runs of failovers whose histories are kept (runbook 7.1)."""

from typing import Any

from tests.replay.cases import ALERT, Case, Handle, waiting
from tests.workflows.worlds.failing_primary import FailingPrimary
from tests.workflows.worlds.pointed import another
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest
from workflows.platform.approval import Decision


async def _decide(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting(handle, f"decide {question}")
    word = Decision(who="ada", role="dba", question=question, choice=choice, reason=reason)
    await handle.execute_update("decide", word)


async def moves_and_returns(handle: Handle, world: Any) -> None:
    await _decide(handle, "failover-1", "promote")
    await _decide(handle, "return-1", "rejoin")


async def fences_by_hand(handle: Handle, world: Any) -> None:
    await _decide(handle, "failover-1", "promote")
    await _decide(handle, "fence-1", "by-hand", "its power is off")
    await _decide(handle, "promote-1", "retry")
    await _decide(handle, "return-1", "leave")


async def cancels(handle: Handle, world: Any) -> None:
    await waiting(handle, "decide failover-1")
    await handle.cancel()


def troubled(world: FailingPrimary) -> None:
    world.unfenced = world.unpromoted = 1


def alive(world: FailingPrimary) -> None:
    world.answering = [True]


def shared(world: FailingPrimary) -> None:
    """Have another service use the database, and one that can't be moved."""
    world.others = {"billing": another("billing", "primary", "replica-1"), "reports": another("reports", "primary")}


def pooled(world: FailingPrimary) -> None:
    """Have poolers in front of the database, one of which no command reaches."""
    world.others = {"billing": another("billing", "primary", "replica-1", poolers=["front", "back"])}
    world.deaf_poolers = {"back"}


CASES: dict[str, Case] = {
    "database_failover-moved": Case(DatabaseFailoverRequest(alert=ALERT), moves_and_returns, world=FailingPrimary),
    "database_failover-shared": Case(
        DatabaseFailoverRequest(service="tensafe-server", alert=ALERT), moves_and_returns, shared, world=FailingPrimary
    ),
    "database_failover-pooled": Case(
        DatabaseFailoverRequest(service="tensafe-server", alert=ALERT), moves_and_returns, pooled, world=FailingPrimary
    ),
    "database_failover-fenced-by-hand": Case(DatabaseFailoverRequest(), fences_by_hand, troubled, world=FailingPrimary),
    "database_failover-answers": Case(DatabaseFailoverRequest(), prepare=alive, world=FailingPrimary),
    "database_failover-cancelled": Case(DatabaseFailoverRequest(), cancels, cancelled=True, world=FailingPrimary),
}
