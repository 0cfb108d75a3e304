"""Blocking addresses by the word of two people, for a time or for good (runbook 8.1 step 6).

A block for a time is a hold: the run gives it back when its time is over, and where the run has ended before,
`sweep-holds` does.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from activities.addresses.blocks import BlockAddresses, Blocking, Blocks, UnblockAddresses
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.security.asking import ask
from workflows.shared.desk import Desk, insist

_FOR_A_TIME, _FOR_GOOD, _NONE = "for-a-time", "for-good", "none"


class AddressBlock:
    """Addresses of one incident that people are asked about together."""

    def __init__(self, desk: Desk, addresses: list[str], *, found: bool = False) -> None:
        """Take those that a person named, or those that the review of accesses found."""
        self.desk = desk
        self._found = found
        self._name = "block-found" if found else "block"
        self.run = desk.run
        self.blocked: list[str] = []
        self.until: datetime | None = None
        self.not_blocked: dict[str, str] = {}
        """Address → why."""
        self.addresses = addresses
        """In CIDR form."""
        self._giving_back: asyncio.Task[None] | None = None

    async def decide(self) -> None:
        """Have two people say whether and for how long they are blocked, and block them."""
        policy = self.desk.service.security.blocks
        if not self.addresses:
            return
        if policy is None:
            self.not_blocked = dict.fromkeys(self.addresses, "settings name no place where addresses are blocked")
            self.run.say("problem", "No address is blocked: settings name no place for it", section="8.1/6")
            return
        service = self.desk.service
        blocking = Blocking(
            service=service.name,
            namespace=service.namespace,
            health_url=service.health_url,
            policy=policy,
            addresses=self.addresses,
        )
        against = await self.run.attempt(
            "8.1/6", "What must not be blocked", Blocks.objections, blocking, policies.READ
        )
        if against is None:
            self.not_blocked = dict.fromkeys(self.addresses, "what must never be blocked can't be read")
            await self.desk.escalate("what must never be blocked can't be read: no address is blocked")
            return
        self.not_blocked = dict(against.against)
        addresses = [each for each in self.addresses if each not in self.not_blocked]
        if not addresses:
            return
        choice = await self._ask(addresses, policy.lasting.total_seconds() / 3600)
        if choice == _NONE:
            self.not_blocked |= dict.fromkeys(addresses, "people decided otherwise, or nobody answered")
            return
        self.until = workflow.now() + policy.lasting if choice == _FOR_A_TIME else None
        request = BlockAddresses(
            **blocking.model_dump(exclude={"addresses"}),
            addresses=addresses,
            incident_id=self.desk.id,
            until=self.until,
            effect=self.run.effect(self._name),
        )
        if await self.run.attempt("8.1/6", "Block addresses", Blocks.block, request, policies.EFFECT) is None:
            self.not_blocked |= dict.fromkeys(addresses, "it failed: look at the run")
            await self.desk.escalate(f"not all of {', '.join(addresses)} may be blocked: look at the run")
        elif not self.run.dry_run:
            self.blocked = addresses
        if self.until is not None and not self.run.dry_run:
            # Also where it failed: it may be in some of the lists.
            self._giving_back = asyncio.create_task(self._give_back(self.until))

    def leave(self) -> None:
        """Leave what is blocked to its end to `sweep-holds`: the run ends before."""
        if self._giving_back is not None:
            self._giving_back.cancel()

    def ended(self) -> dict[str, str]:
        """Say what became of each address."""
        how = f"blocked until {self.until:%Y-%m-%d %H:%M %Z}" if self.until else "blocked for good"
        return {
            **dict.fromkeys(self.blocked, how),
            **{each: f"not blocked: {w}" for each, w in self.not_blocked.items()},
        }

    async def _ask(self, addresses: list[str], hours: float) -> str:
        named = ", ".join(addresses)
        if self.run.dry_run:
            self.run.say("decision", f"would ask two persons whether to block {named}", section="8.1/6")
            return _FOR_A_TIME
        question = Question(
            id=self._name,
            title=f"Block {named}?" if not self._found else f"Block {named}, which the service refused often?",
            options={
                _FOR_A_TIME: f"for {hours:g} hours, then it is given back; takes two people",
                _FOR_GOOD: "until somebody takes it out of the lists; takes two people",
                _NONE: "they go on reaching the service",
            },
            default=_NONE,
            kind="contain",
            two_for=[_FOR_A_TIME, _FOR_GOOD],
            evidence=[f"{address} stays: {why}" for address, why in self.not_blocked.items()],
            timeout=self.desk.service.security.decision_timeout,
        )
        return (await ask(self.desk, question)).choice

    async def _give_back(self, until: datetime) -> None:
        left = until - workflow.now()
        if left > timedelta(0):  # blocking may have taken longer than the time it was for
            await workflow.sleep(left, summary="Blocked addresses are given back")
        service = self.desk.service
        assert service.security.blocks is not None
        request = UnblockAddresses(
            service=service.name,
            namespace=service.namespace,
            policy=service.security.blocks,
            incident_id=self.desk.id,
            effect=self.run.effect(f"un{self._name}"),
        )
        undone = f"{', '.join(self.blocked)} may still be blocked"
        await insist(self.desk, "8.1/6", "Give back what was blocked", Blocks.unblock, request, undone=undone)
