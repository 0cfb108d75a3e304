"""Shows what a run asks, and takes a person's answer to it: `runbooks approve`."""

import json

from starters.cli.configured import load_settings
from starters.cli.people import complaints, console
from starters.cli.speaker import person
from starters.cli.view import commands, render_question
from starters.steering import runs
from starters.steering.actions import actions
from starters.steering.answering import answer as said
from starters.steering.answering import decided, meant, role_for
from starters.steering.errors import Over
from starters.steering.finding import find
from starters.steering.runs import Run
from starters.steering.session import open_session
from workers.settings import Settings
from workflows.platform.run_status import RunStatus


async def approve(
    reference: str,
    *,
    question: str | None,
    choice: str | None,
    reason: str,
    who: str | None,
    role: str | None,
    as_json: bool,
) -> None:
    """Answer the question that is meant, or show what is asked.

    Raises:
        SteeringError: it doesn't count; each reason is an error of its own.

    """
    session = await open_session(load_settings())
    run = await find(session, reference)
    if choice is None:
        await _show(run, await runs.status_of(run) if run.running else None, session.settings, role, as_json=as_json)
        return
    if not run.running:
        told = await runs.told(run)
        before = decided(told, question) if told else ""
        raise Over(f"{run.workflow_id} is {run.state}: nothing was sent{f'. {before}' if before else ''}")
    one = meant(await runs.status_of(run), question, choice)
    taken = role_for(one, role)
    speaker = person(who, taken)
    answer = await said(session, run, one, choice=choice, reason=reason, by=speaker)
    if as_json:
        console.file.write(json.dumps({"question": one.id, **answer.model_dump(mode="json")}, indent=2) + "\n")
        return
    how = f"said by {answer.by}; it needs {answer.needs}" if answer.needs else f"decided by {answer.by}"
    console.print(f"{one.id}: {answer.choice}, {how}", markup=False)
    if role is None and len(one.roles) == 1:
        complaints.print(f"in the only role that may: {taken}", style="dim", markup=False)


async def _show(run: Run, status: RunStatus | None, settings: Settings, role: str | None, *, as_json: bool) -> None:
    asked = status.questions if status else []
    if as_json:
        console.file.write(json.dumps([one.model_dump(mode="json") for one in asked], indent=2) + "\n")
        return
    for one in asked:
        console.print(render_question(one))
    if status is None or not asked:
        console.print(f"{run.workflow_id} ({run.state}) asks nothing", markup=False)
        return
    can = actions(status, run=status.incident_id or run.workflow_id, settings=settings, role=role)
    console.print(commands([one for one in can if " approve " in one.command]), crop=False)
