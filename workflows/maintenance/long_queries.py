"""Long queries, and whether they are to end: a person sees who waits for whom, and decides (runbook 6.2 steps 4, 5)."""

from datetime import datetime, timedelta

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import InvalidInput
from activities.database.servers.servers import OnServer
from activities.database.upkeep.ending import EndSession
from activities.database.upkeep.postgres import Postgres
from activities.database.upkeep.sessions import QueriesRequest, RunningQueries, RunningSession
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_ROUNDS = 10
_MOST_CHOICES = 20
_LEAVE, _ALL, _NAMED = "leave", "all", "named"


class LongQueries:
    """What one run does about them."""

    def __init__(self, run: Runbook, desk: Desk, at: OnServer, policy: MaintenancePolicy, longer: timedelta) -> None:
        self.run = run
        self.desk = desk
        self.at = at.model_dump()
        self.policy = policy
        self.longer = longer
        self.ended: list[str] = []
        self.failed: list[str] = []
        self._named: dict[int, datetime] = {}

    async def name(self, pids: list[int]) -> None:
        """Pin the sessions that the request names: a PID may be somebody else's later.

        Raises:
            InvalidInput: there is no such session, or a run never ends it.
            ActivityError: the server doesn't answer.

        """
        if not pids:
            return
        found = await self.run.step("6.2/4", "Named sessions", Postgres.queries, self._request(pids), policies.READ)
        named = [session for session in found.items if session.named]
        wrong = [f"there is no session {pid} of this database that we may see" for pid in found.missing]
        wrong += [f"{session.pid} is {session.protected}" for session in named if session.protected]
        if wrong:
            raise InvalidInput(f"end: {'; '.join(wrong)}")
        self._named = {session.pid: session.backend_start for session in named}

    async def decide(self) -> RunningQueries | None:
        """List them, and ask until nobody wants to end any more; None where they can't be listed."""
        found = None
        for number in range(1, _ROUNDS + 1):
            found = await self._look()
            candidates = found.to_end[:_MOST_CHOICES] if found else []
            if found is None or not candidates:
                return found
            for line in found.tree()[:_MOST_CHOICES]:
                self.run.say("decision", line, section="6.2/4")
            if self.run.dry_run:
                self.run.say("decision", f"would ask which of {len(candidates)} are to end")
                return found
            chosen = await self._chosen(found, candidates, number)
            for session in chosen:
                await self._end(session)
            if not chosen or len(chosen) == len(candidates):
                return found
        return found

    async def _look(self) -> RunningQueries | None:
        request = self._request(list(self._named))
        found = await self.run.attempt("6.2/4", "Long queries", Postgres.queries, request, policies.READ)
        for session in found.items if found else []:
            session.named = session.named and self._named.get(session.pid) == session.backend_start
        return found

    async def _chosen(
        self, found: RunningQueries, candidates: list[RunningSession], number: int
    ) -> list[RunningSession]:
        """Ask a person; nobody's answer leaves them all."""
        blocking = any(session.blocks for session in candidates)
        named = [session for session in candidates if session.named]
        options = {
            _LEAVE: "end none",
            **({_NAMED: f"end those that the request names: {_pids(named)}"} if named else {}),
            **{str(session.pid): f"end {session}" for session in candidates},
            **({_ALL: f"end all of them: {_pids(candidates)}"} if len(candidates) > 1 else {}),
        }
        question = Question(
            id=f"end-{number}",
            title=f"Which queries of {self.at['database']} are to end?",
            options=options,
            recommended=_NAMED if named else None,
            default=_LEAVE,
            kind="database",
            evidence=found.tree(),
            timeout=self.policy.decision_timeout,
        )
        await self.desk.ask(question)

        async def escalate(why: str) -> None:
            # Nobody is got out of bed for a query that is merely long.
            if blocking:
                await self.desk.escalate(why)
            else:
                await self.desk.tell(f"reminder-{number}", why)

        answer = await self.run.ask(question, escalate=escalate)
        if answer.choice == _ALL:
            return candidates
        if answer.choice == _NAMED:
            return named
        return [session for session in candidates if str(session.pid) == answer.choice]

    async def _end(self, session: RunningSession) -> None:
        request = EndSession(
            **self.at,
            pid=session.pid,
            backend_start=session.backend_start,
            xact_start=session.xact_start,
            query_start=session.query_start,
            active=session.state == "active",
            named=session.named,
            cancel_within=self.policy.cancel_within,
            effect=self.run.effect("end-session"),
        )
        title = f"End session {session.pid}"
        policy = policies.EFFECT.lasting(self.policy.cancel_within)
        ended = await self.run.attempt("6.2/5", title, Postgres.end_session, request, policy)
        if ended is None:
            self.failed.append(f"session {session.pid}")
        else:
            self.ended.append(f"{session.pid}: {ended.how}")

    def _request(self, named: list[int]) -> QueriesRequest:
        return QueriesRequest(**self.at, min_duration=self.longer, named=named)


def _pids(sessions: list[RunningSession]) -> str:
    return ", ".join(str(session.pid) for session in sessions)
