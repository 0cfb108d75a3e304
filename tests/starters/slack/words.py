"""What is typed in Slack, and what a run has taken of it."""

from starters.steering.session import Session
from tests.starters.slack.conftest import Office


async def words_taken(session: Session, workflow_id: str) -> int:
    history = await session.client.get_workflow_handle(workflow_id).fetch_history()
    return len([one for one in history.events if one.HasField("workflow_execution_update_accepted_event_attributes")])


async def begun(office: Office) -> None:
    office.world.bad_release()
    await office.slack.command("start p1-incident")
    await office.slack.submit(await office.slack.view(), title="API down", service=office.service, mitigation="approve")
