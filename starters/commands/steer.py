"""`runbooks approve | note | close | cancel`: what people say to a run, signed by the gateway."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from starters import runs
from starters.commands.status import RunArgument
from starters.gateway import person
from starters.problem import Problem
from starters.session import Session, console, with_session
from starters.view import render
from workflows.incident_response.p1_incident import Closing
from workflows.shared.approval import Answer, Decision, OpenQuestion
from workflows.shared.runbook import Note, RunStatus

Who = Annotated[str, typer.Option("--as", help="Who you are; RUNBOOKS_USER, else the system's user.")]
Role = Annotated[str, typer.Option("--role", help="In which role; RUNBOOKS_ROLE, else on-call.")]


def approve(
    run: RunArgument,
    *,
    question: Annotated[str, typer.Option(help="Which question, where several are open.")] = "",
    choice: Annotated[str, typer.Option(help="The answer; without it the question is shown.")] = "",
    reason: Annotated[str, typer.Option(help="Why; goes on the record.")] = "",
    who: Who = "",
    role: Role = "",
) -> None:
    """Answer an open question of a run; without --choice, show what is asked."""

    async def answer(session: Session) -> None:
        found = await runs.find(session.client, run)
        status: RunStatus = await found.handle.query("status", result_type=RunStatus)
        asked = _asked(status, question)
        if not choice:
            console.print(render(status, now=datetime.now(UTC)))
            console.print(f"\nAnswer with: [bold]runbooks approve {run} --question {asked.id} --choice …[/]")
            return
        name, acting = person(who, role)
        decision = Decision(
            who=name, role=acting, question=asked.id, choice=choice, reason=reason, subject=asked.subject
        )
        signed = session.gateway.sign(decision, found.workflow_id, found.first_run_id)
        given: Answer = await found.handle.execute_update("decide", signed, result_type=Answer)
        console.print(f"{asked.id}: [bold]{given.choice}[/], by {given.by}")

    with_session(answer)


def note(run: RunArgument, text: str, *, who: Who = "", role: Role = "") -> None:
    """Add a remark to a run's timeline and records."""

    async def add(session: Session) -> None:
        found = await runs.find(session.client, run)
        name, acting = person(who, role)
        signed = session.gateway.sign(Note(who=name, role=acting, text=text), found.workflow_id, found.first_run_id)
        console.print(await found.handle.execute_update("note", signed, result_type=str))

    with_session(add)


def close(
    run: RunArgument,
    *,
    resolution: Annotated[str, typer.Option(help="What resolved it.")],
    root_cause: Annotated[str, typer.Option(help="What caused it, as far as it is known.")],
    force: Annotated[bool, typer.Option("--force", help="Although the service doesn't say it is healthy.")] = False,
    who: Who = "",
    role: Role = "",
) -> None:
    """Close an incident; the run then tells everybody and schedules the post-mortem."""

    async def end(session: Session) -> None:
        found = await runs.find(session.client, run)
        name, acting = person(who, role)
        closing = Closing(who=name, role=acting, resolution=resolution, root_cause=root_cause, force=force)
        signed = session.gateway.sign(closing, found.workflow_id, found.first_run_id)
        console.print(await found.handle.execute_update("close", signed, result_type=str))

    with_session(end)


def cancel(run: RunArgument) -> None:
    """Cancel a run: it says so everywhere, gives back what it holds, and ends CANCELED."""

    async def ask(session: Session) -> None:
        found = await runs.find(session.client, run)
        if not found.open:
            message = f"{run} has ended already"
            raise Problem(message)
        await found.handle.cancel()
        console.print(f"cancellation of {found.workflow_id} requested: `runbooks status {run}`", soft_wrap=True)

    with_session(ask)


def _asked(status: RunStatus, name: str) -> OpenQuestion:
    if not status.questions:
        waits = f"; it waits for: {status.waiting_for}" if status.waiting_for else ""
        message = f"nothing is asked{waits}"
        raise Problem(message)
    matching = [question for question in status.questions if name in {"", question.id}]
    if len(matching) != 1:
        message = f"--question: one of {', '.join(question.id for question in status.questions)}"
        raise Problem(message)
    return matching[0]
