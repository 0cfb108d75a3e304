"""What people, alerts and other runs tell a P1 (runbook 2.2): each word goes to the part that it is about."""

from temporalio import workflow

from activities.common.errors import JustStarting, Refused
from activities.records.alerts import Alert
from workflows.incident_response.command import HandBack, TakeOver
from workflows.incident_response.incident_run import IncidentRun
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1.open_p2 import OpenP2
from workflows.incident_response.p1.parts import P1Parts
from workflows.platform.described import described
from workflows.shared.continued import HANDED_OVER, JOINED, HandedOver, Joined


class P1Words(IncidentRun):
    """A P1 that can be talked to."""

    p2: OpenP2
    """The P2 that it goes on with, or takes in."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: P1Parts | None = None
        self.p2 = OpenP2(self)

    @property
    def _parts(self) -> P1Parts:
        assert self.parts is not None, "what comes before waits, or is refused"
        return self.parts

    def board(self) -> str:
        """Show who has it."""
        held = self.parts.incident.held_by if self.parts else ""
        return f"**{held} has it**: the run only watches, records and reminds" if held else ""

    # -- alerts and other runs ---------------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take an alert firing (it joins this incident) or resolving."""
        await self.alerts([alert])

    @workflow.signal(
        name="alerts",
        description="Firings and their ends that one post has for this run, in order, from the webhook.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alerts(self, alerts: list[Alert]) -> None:
        """Take the alerts of one post."""
        await self.begun()
        await self._parts.alerts.arrive(alerts)

    @workflow.signal(
        name=JOINED,
        description="A less severe run has met the same trouble, and leaves it to this one.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def joined(self, joined: Joined) -> None:
        """Note what else was met; it is part of this incident."""
        await self.begun()
        self.say("signal", f"{joined.what}, by {joined.who or 'somebody'}: joins this incident")
        # Who found it down has seen what an alert would tell: a run that waits to be closed looks again.
        happened = self._parts.happened
        happened.fired_again = happened.fired_again or joined.severity == "P1"

    @workflow.signal(
        name=HANDED_OVER,
        description="A P2 of the same service hands its incident over, or says that it can't.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def handed_over(self, handed: HandedOver) -> None:
        """Go on with it, as long as there is no incident yet; else it is closed as a part of this one."""
        if not self.p2.answered(handed) and handed.so_far is not None:
            await self.begun()
            await self.incident.takes_in(handed.so_far)
            await self.alerts(handed.alerts)

    # -- people ------------------------------------------------------------------------------------------

    @workflow.update(
        name="close",
        description=described(
            "Close the incident: resolution and root cause.",
            Closing,
            "commander",
            resolution="Rolled back to v1.2.3",
            root_cause="v1.2.4 crashes",
        ),
    )
    async def close(self, closing: Closing) -> str:
        """Take the closing of a person who may.

        Raises:
            Refused: the service doesn't say it is healthy, and `force` isn't set.

        """
        await self._parts.closing.said(closing)
        return f"{self.incident.id} is being closed"

    @close.validator
    def _check_closing(self, closing: Closing) -> None:
        self.approvals.authorise(closing, "close")
        # Who takes over knows more than the health URL: with `force` nothing keeps them.
        ready = self.waiting_for == "close" or (self.parts is not None and (closing.force or self.incident.held_by))
        if not ready:
            raise Refused(
                f"the incident can't be closed yet, the run is at: {self.timeline.phase}"
                + (f". It waits for you to {self.waiting_for}" if self.waiting_for else "")
            )

    @workflow.update(
        name="take-over",
        description=described(
            "A person has it: the run only watches, records and reminds.",
            TakeOver,
            "commander",
            reason="failing over by hand",
        ),
    )
    async def take_over(self, word: TakeOver) -> str:
        """Leave it to a person; gives what that means."""
        by, before = f"{word.who} ({word.role})", self.incident.held_by
        self._now_with(by)
        text = "has it now" + (f", from {before}" if before else "") + (f": {word.reason}" if word.reason else "")
        self.say("decision", f"Taken over{f': {word.reason}' if word.reason else ''}", who=by)
        self.background(self.incident.taken_over(by, text))
        return f"{self.incident.id} is yours: the run only watches, records and reminds you, until `hand-back`"

    @take_over.validator
    def _check_take_over(self, word: TakeOver) -> None:
        self.approvals.authorise(word, "mitigate")
        if self.parts is None:
            raise JustStarting("the run is only just starting: try again in a moment")
        if self.parts.happened.closing is not None:
            raise Refused("the incident is being closed")

    @workflow.update(
        name="hand-back",
        description=described("The run goes on by itself again.", HandBack, "commander", reason="the primary is back"),
    )
    async def hand_back(self, word: HandBack) -> str:
        """Take it back from a person."""
        by = f"{word.who} ({word.role})"
        self._now_with("")
        self._parts.mitigations.declined.forget()
        self.say("decision", f"Given back{f': {word.reason}' if word.reason else ''}", who=by)
        text = f"gives it back{f': {word.reason}' if word.reason else ''}"
        self.background(self.incident.note(by, text))
        self.background(self.incident.tell("given-back", f":leftwards_arrow_with_hook: {by} {text}"))
        return f"the run goes on with {self.incident.id} by itself"

    @hand_back.validator
    def _check_hand_back(self, word: HandBack) -> None:
        self.approvals.authorise(word, "mitigate")
        if self.parts is None or not self.parts.incident.held_by:
            raise Refused("nobody has taken this incident over")

    def _now_with(self, whom: str) -> None:
        """Put it into other hands; empty: the run's own."""
        self.incident.held_by, self._parts.happened.changed_hands = whom, True
        self._parts.watch.anew()
