"""Vacuum and reindex, one after the other; whatever ends a step early leaves nothing at work on the server."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from temporalio import workflow

from activities.catalogue.database import MaintenancePolicy
from activities.common.effects import Change
from activities.database.servers.servers import OnServer
from activities.database.upkeep.postgres import DropLeftover, Postgres, ReindexIndex, StopWork, VacuumTable
from activities.database.upkeep.tables import IndexState
from workflows.maintenance.needs import IndexWork, Needs, TableWork, needless
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.lease import shielded
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_MOST_CHOICES = 20
"""Of single indexes to choose from; all of them can be dropped whatever their number."""
_KEEP, _DROP = "keep", "drop"


class Upkeep:
    """The work of one run on a database's primary."""

    def __init__(self, run: Runbook, desk: Desk, at: OnServer, policy: MaintenancePolicy) -> None:
        self.run = run
        self.desk = desk
        self.at = at.model_dump()
        self.policy = policy
        self.vacuumed: list[str] = []
        self.reindexed: list[str] = []
        self.dropped: list[str] = []
        self.failed: list[str] = []
        self.kept: list[str] = []
        """Invalid indexes that nobody wanted dropped."""

    async def vacuum(self, needs: Needs, since: datetime) -> None:
        """Vacuum and analyze what needs it (6.2 step 2). One that fails doesn't keep the others from it."""
        for work in needs.tables:
            await self._vacuum(work, since)

    async def reindex(self, needs: Needs) -> None:
        """Rebuild what needs it, after invalid indexes that nobody needs are gone (6.2 step 3)."""
        for leftover in await self._to_drop(needs.leftovers):
            await self._drop(leftover)
        for work in needs.indexes:
            await self._reindex(work)

    async def _vacuum(self, work: TableWork, since: datetime) -> None:
        table = work.table
        effect = self.run.effect("vacuum")
        request = VacuumTable(
            **self.at,
            table_schema=table.schema_name,
            table=table.name,
            since=since,
            freeze=work.freeze,
            analyze_only=work.analyze_only,
            within=self.policy.longest_vacuum,
            effect=effect,
        )
        policy = policies.WAIT.lasting(self.policy.longest_vacuum)
        title = f"{work.verb.capitalize()} {table.full_name}"
        doing = self.run.attempt("6.2/2", title, Postgres.vacuum, request, policy)
        change = await self._tidily(doing, effect.key)
        self._done(change, table.full_name, self.vacuumed)

    async def _reindex(self, work: IndexWork) -> None:
        index = work.index
        effect = self.run.effect("reindex")
        request = ReindexIndex(
            **self.at,
            index_schema=index.schema_name,
            index=index.name,
            oid=index.oid,
            within=self.policy.longest_reindex,
            effect=effect,
        )
        policy = policies.WAIT.lasting(self.policy.longest_reindex)
        doing = self.run.attempt("6.2/3", f"Reindex {index.full_name}", Postgres.reindex, request, policy)
        change = await self._tidily(doing, effect.key, index)
        self._done(change, index.full_name, self.reindexed)

    async def _to_drop(self, leftovers: list[IndexState]) -> list[IndexState]:
        """Ask a person which invalid indexes go; nobody's answer keeps them all."""
        if not leftovers or not workflow.patched("asked before an index is dropped"):
            return leftovers
        if self.run.dry_run:
            self.run.say("decision", f"would ask which of {len(leftovers)} are to be dropped")
            return leftovers
        shown = leftovers[:_MOST_CHOICES]
        options = {
            _KEEP: "drop none",
            **{index.full_name: f"drop {index.full_name}{index.of_table}" for index in shown},
            _DROP: f"drop all of them: {', '.join(index.full_name for index in leftovers)}",
        }
        question = Question(
            id="drop-indexes",
            title=f"Which invalid indexes of {self.at['database']} are to be dropped?",
            options=options,
            recommended=_DROP,
            default=_KEEP,
            kind="database",
            evidence=[f"{index.full_name}: {needless(index)}" for index in leftovers],
            timeout=self.policy.decision_timeout,
        )
        await self.desk.ask(question)

        async def escalate(why: str) -> None:
            # Nobody is got out of bed for an index that merely takes room.
            await self.desk.tell("reminder-drop-indexes", why)

        answer = await self.run.ask(question, escalate=escalate)
        chosen = [index for index in leftovers if answer.choice in {_DROP, index.full_name}]
        self.kept = [index.full_name for index in leftovers if index not in chosen]
        return chosen

    async def _drop(self, leftover: IndexState) -> None:
        request = DropLeftover(
            **self.at,
            index_schema=leftover.schema_name,
            index=leftover.name,
            oid=leftover.oid,
            effect=self.run.effect("drop-leftover"),
        )
        title = f"Drop {leftover.full_name}"
        change = await self.run.attempt("6.2/3", title, Postgres.drop_leftover, request, policies.WAIT)
        self._done(change, leftover.full_name, self.dropped)

    def _done(self, change: Change | None, name: str, done: list[str]) -> None:
        if change is None:
            self.failed.append(name)
        elif not self.run.dry_run:
            done.append(name)

    async def _tidily(
        self, doing: Coroutine[Any, Any, Change | None], work: str, index: IndexState | None = None
    ) -> Change | None:
        """Do a step; where it fails or is cancelled, end what may be left of it on the server."""
        try:
            change = await doing
        except (Exception, asyncio.CancelledError):
            await shielded(self._stop(work, index))
            raise
        if change is None:
            await self._stop(work, index)
        return change

    async def _stop(self, work: str, index: IndexState | None) -> None:
        request = StopWork(
            **self.at,
            work=work,
            index_schema=index.schema_name if index else "",
            index=index.name if index else "",
            effect=self.run.effect("stop-work"),
        )
        await self.run.attempt("6.2", "Leave nothing at work", Postgres.stop_work, request, policies.WAIT)
