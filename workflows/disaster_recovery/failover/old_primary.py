"""The old primary's return as a replica: people's decision, which can wait (runbook 7.1)."""

from collections.abc import Callable
from datetime import timedelta

from activities.catalogue.database import DatabasePolicy
from activities.database.replication.replication import AwaitStreaming, Promoted, Replication
from activities.database.servers.hosts import DatabaseHosts, RejoinServer
from activities.kubernetes.database_secrets import DatabaseSecrets
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk

_REJOIN_WITHIN = timedelta(minutes=30)


class OldPrimary:
    """The fenced server, until it is a replica or is left alone."""

    def __init__(self, run: Runbook, desk: Desk, database: DatabasePolicy, hold: DataHold, name: str) -> None:
        self.run = run
        self.desk = desk
        self.database = database
        self.hold = hold
        self.name = name

    async def offer_return(self, promoted: Promoted, until: Callable[[], bool]) -> str:
        """Ask for its return as often as it fails; tells what it is at the end. `until` ends the waiting early."""
        tries = 0
        while True:
            tries += 1
            question = self._question(tries, promoted)
            self.run.background(self.desk.ask(question))
            answer = await self.run.ask(question, escalate=self._remind, until=until)
            if answer.choice != "rejoin":
                return "fenced"
            if await self._rejoin(promoted):
                return "a replica"

    def _question(self, number: int, promoted: Promoted) -> Question:
        return Question(
            id=f"return-{number}",
            title=f"Bring {self.name} back as a replica of {promoted.server}?",
            options={
                "rejoin": f"it follows {promoted.server}; whatever only {self.name} has is thrown away: save it first",
                "leave": "it stays fenced",
            },
            default="leave",
            kind="failover",
            evidence=[
                (
                    f"{promoted.server} went on where its log ended, at {promoted.replayed or 'a place not known'}, on "
                    f"timeline {promoted.timeline}; what {self.name} wrote after that was never on {promoted.server}"
                )
            ],
            timeout=self.database.failover.return_timeout,
        )

    async def _remind(self, why: str) -> None:
        """Say it in the channel: nobody is got out of bed for it."""
        await self.desk.tell("return-reminder", f":alarm_clock: {self.name} is still fenced: {why}")

    async def _rejoin(self, promoted: Promoted) -> bool:
        run = self.run
        now = await run.attempt(
            "7.1/2",
            "Which server the service is pointed at",
            DatabaseSecrets.pointed_at,
            self.hold.secrets,
            policies.READ,
        )
        if now is None or now.server != promoted.server:
            run.say(
                "problem", f"the service is pointed at {now} now, not at {promoted.server}: {self.name} stays fenced"
            )
            return False
        done = await run.attempt(
            "7.1/2",
            f"{self.name} becomes a replica",
            DatabaseHosts.rejoin,
            RejoinServer(
                database=self.database.name, server=self.name, source=promoted.server, effect=run.effect("rejoin")
            ),
            policies.WAIT.lasting(_REJOIN_WITHIN),
        )
        if done is None:
            return False
        within = self.database.failover.follow_within
        streaming = await run.attempt(
            "7.1/2",
            f"{self.name} streams",
            Replication.await_streaming,
            AwaitStreaming(
                database=self.database.name,
                server=self.name,
                source=promoted.server,
                timeline=promoted.timeline,
                within=within,
            ),
            policies.WAIT.lasting(within),
        )
        if streaming is None or not streaming.streams:
            run.say("problem", f"{self.name} does not stream from {promoted.server}: {streaming}")
            return False
        await self.desk.tell(
            "returned", f":recycle: {self.name} is a replica of {promoted.server}: {done.note or done}"
        )
        return True
