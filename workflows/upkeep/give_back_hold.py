"""Gives back one thing that a run has left held, and tells the service's people; `SweepHolds` starts it."""

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.holds.holds import GIVEN_BACK, GiveBack, Holds
from activities.holds.kinds import Hold
from activities.messages.chat.chat import PostMessage, Slack, escaped
from workflows.platform import policies
from workflows.upkeep.own_steps import options, own_effect

_ACTOR = "sweep-holds"


class GiveBackRequest(BaseModel):
    """What was found."""

    hold: Hold = Field(description="Past its time; its run is not running any more.")


@workflow.defn
class GiveBackHold:
    """Give back, and tell."""

    @workflow.run
    async def run(self, request: GiveBackRequest) -> str:
        """Do both; gives what was done.

        Raises:
            ActivityError: it could not be given back now; the next sweep tries again.

        """
        hold = request.hold
        effect = own_effect("give-back", _ACTOR)
        change = await workflow.execute_activity_method(
            Holds.give_back,
            GiveBack(hold=hold, effect=effect),
            summary=f"Give back: {hold}"[:180],
            **options(policies.EFFECT),
        )
        if change.applied or change.after == GIVEN_BACK:
            left = f"{hold}, and is not running any more. Given back: {change}"
            message = PostMessage(
                channel=hold.channel,
                text=escaped(left),
                effect=own_effect("tell", _ACTOR),
            )
            try:
                await workflow.execute_activity_method(
                    Slack.post, message, summary="Tell the channel", **options(policies.RECORD)
                )
            except ActivityError:
                workflow.logger.warning("nobody could be told of what was given back")
        return str(change)
