"""The review of a closed incident: its draft, invitation, record and reminder (runbook 2.2 step 14)."""

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from temporalio import workflow

from activities.evidence.evidence import Evidence, Invite, StoreDocument
from activities.messages.chat.chat import ScheduleMessage, Slack, escaped
from activities.records.activities import Records
from activities.records.incidents import SchedulePostMortem
from workflows.platform import policies
from workflows.shared import post_mortem
from workflows.shared.incident import Incident
from workflows.shared.post_mortem import PostMortemFacts


async def schedule_post_mortem(incident: Incident, resolution: str, root_cause: str) -> None:
    """Write the draft and the invitation, then record the review and have people reminded of it."""
    run = incident.run
    when = _tomorrow(incident)
    draft, invite = await asyncio.gather(
        run.attempt(
            "2.2/14",
            "Write the post-mortem draft",
            Evidence.store_document,
            StoreDocument(
                incident_id=incident.id,
                name="post-mortem.md",
                content=post_mortem.draft(_facts(incident), resolution=resolution, root_cause=root_cause, when=when),
                effect=run.effect("post-mortem-draft"),
            ),
            policies.EFFECT,
        ),
        run.attempt(
            "2.2/14",
            "Write the invitation",
            Evidence.invite,
            Invite(
                incident_id=incident.id,
                name="post-mortem.ics",
                title=f"Post-mortem {incident.id}: {incident.title}",
                start=when,
                time_zone=incident.service.time_zone,
                effect=run.effect("post-mortem-invite"),
            ),
            policies.EFFECT,
        ),
    )
    incident.evidence.add(draft)
    incident.evidence.add(invite)
    await asyncio.gather(
        run.keep(
            "2.2/14",
            "Schedule the post-mortem",
            Records.schedule_post_mortem,
            SchedulePostMortem(
                incident_id=incident.id,
                scheduled_for=when,
                draft_uri=draft.uri if draft else "",
                invite_uri=invite.uri if invite else "",
                effect=run.effect("schedule-post-mortem"),
            ),
        ),
        run.keep(
            "2.2/14",
            "Schedule the reminder",
            Slack.schedule,
            ScheduleMessage(
                channel=incident.service.channel,
                text=escaped(f"Post-mortem of {incident.id}: {incident.title}"),
                post_at=when,
                effect=run.effect("post-mortem-reminder"),
            ),
        ),
    )


def _tomorrow(incident: Incident) -> datetime:
    """Tomorrow at the policy's time, in the service's time zone."""
    zone = ZoneInfo(incident.service.time_zone)
    tomorrow = workflow.now().astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, incident.service.incident.post_mortem_at, tzinfo=zone)


def _facts(incident: Incident) -> PostMortemFacts:
    return PostMortemFacts(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service.name,
        commander=incident.commander,
        opened_at=incident.opened_at,
        clocks=incident.run.clocks.all,
        timeline=incident.run.timeline.markdown(),
        evidence=incident.evidence.kept,
    )
