"""What people, alerts and other runs tell a P2 (runbook 2.3): each word goes to the part that it is about."""

from temporalio import workflow

from activities.common.errors import Refused
from activities.records.alerts import Alert
from workflows.incident_response.incident_run import IncidentRun
from workflows.incident_response.incident_words import Closing, Raise
from workflows.incident_response.p2.handing_on import P2HandingOn
from workflows.incident_response.p2.happened import P2Happened
from workflows.incident_response.p2.parts import P2Parts
from workflows.platform.described import described
from workflows.shared.continued import JOINED, TAKEN_IN, Joined, TakenIn


class P2Words(IncidentRun):
    """A P2 that can be talked to, also where another run has its incident from the beginning on."""

    handing_on: P2HandingOn

    def __init__(self) -> None:
        super().__init__()
        self.parts: P2Parts | None = None
        self.happened = P2Happened()
        self.handing_on = P2HandingOn(self, self.happened)

    @property
    def _parts(self) -> P2Parts:
        assert self.parts is not None, "what comes before waits, or is refused"
        return self.parts

    async def begun(self) -> bool:
        """Wait until there is an incident; False where another run has it from the beginning on."""
        await workflow.wait_condition(lambda: self.parts is not None or self.happened.handed_on is not None)
        return self.parts is not None

    # -- alerts and other runs ---------------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take another firing, which joins this incident, or the end of one."""
        await self.begun()
        happened = self.happened
        if happened.hands_over:
            await workflow.wait_condition(lambda: not happened.hands_over)
        if happened.listens:
            await workflow.wait_condition(lambda: happened.handed_on is not None)
            await self.handing_on.pass_on(alert, self.parts)
        else:
            await self._parts.alerts.arrive(alert)

    @workflow.signal(
        name=JOINED,
        description="Another run has met the same trouble, and leaves it to this one.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def joined(self, joined: Joined) -> None:
        """Note who else has met it."""
        if not await self.begun():
            await self.handing_on.pass_on_joined(joined)
            return
        self.say("signal", f"{joined.what}, by {joined.who or 'somebody'}: joins this incident")
        if joined.alert is not None:
            self._parts.alerts.join(joined.alert)
        if joined.severity == "P1" and not self.happened.resolution:
            self.happened.raising = self.happened.raising or joined.what

    @workflow.signal(
        name=TAKEN_IN,
        description="A P1 of the same service takes this incident in.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def taken_in(self, by: TakenIn) -> None:
        """Leave the incident to a more severe one, or to a run that goes on with it."""
        happened = self.happened
        if by.workflow_id:
            await workflow.wait_condition(lambda: happened.opened or happened.handed_on is not None)
            await self.handing_on.hand_over(by, self.parts)
        elif not happened.resolution and happened.closing is None:
            self.say("signal", f"{by.incident_id} takes this incident in")
            happened.taken_in = happened.taken_in or by.incident_id

    # -- people ------------------------------------------------------------------------------------------

    @workflow.update(
        name="close",
        description=described(
            "Close the incident: resolution and root cause.",
            Closing,
            "commander",
            resolution="Two more replicas",
            root_cause="more traffic than usual",
        ),
    )
    async def close(self, closing: Closing) -> str:
        """Take the closing of a person who may."""
        if self.happened.closing is None:
            self.happened.closing = closing
        return f"{self.incident.id} is being closed"

    @close.validator
    def _check_closing(self, closing: Closing) -> None:
        self.approvals.authorise(closing, "close")
        self._check_open()

    @workflow.update(
        name="raise",
        description=described("Raise the incident to P1: say why.", Raise, "commander", reason="orders are lost"),
    )
    async def raise_to_p1(self, word: Raise) -> str:
        """Take the word of a person who says that it is an outage."""
        self.say("decision", f"Raise to P1: {word.reason}", who=f"{word.who} ({word.role})")
        self.happened.raising = self.happened.raising or word.reason
        return f"{self.incident.id} is being raised to P1"

    @raise_to_p1.validator
    def _check_raising(self, word: Raise) -> None:
        self.approvals.authorise(word, "mitigate")
        self._check_open()

    def _check_open(self) -> None:
        if self.parts is None or self.happened.ended or self.outcome:
            raise Refused(f"the incident is being brought to its end, the run is at: {self.timeline.phase}")
