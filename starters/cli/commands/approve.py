"""`runbooks approve`: answer what a run asks."""

from typing import TYPE_CHECKING, Annotated

import typer

from starters.cli.options import Reference, Role, Who
from starters.cli.people import Exit, Stop, command, console
from starters.cli.speaker import person

if TYPE_CHECKING:
    from workflows.platform.approval import OpenQuestion


@command
async def approve(
    reference: Reference,
    *,
    question: Annotated[str | None, typer.Option(help="Which one, where several are open.")] = None,
    choice: Annotated[str | None, typer.Option(help="One of the offered; without it, shows what is asked.")] = None,
    reason: Annotated[str, typer.Option(help="For the timeline and the auditor.")] = "",
    who: Who = None,
    role: Role = None,
) -> None:
    """Answer an open question, or show what is asked."""
    from starters.cli.configured import load_settings
    from starters.cli.view import render_question
    from starters.steering import runs
    from starters.steering.finding import find
    from starters.steering.session import open_session
    from starters.steering.words import send
    from workflows.platform.approval import Answer, Decision

    session = await open_session(load_settings())
    run = await find(session, reference)
    asked = (await runs.status_of(run)).questions if run.running else []
    if choice is None:
        for one in asked:
            console.print(render_question(one))
        if not asked:
            console.print(f"{run.workflow_id} ({run.state}) asks nothing", markup=False)
        return
    one = _meant(asked, question)
    speaker = person(who, role)
    decision = Decision(
        who=speaker.who, role=speaker.role, question=one.id, choice=choice, reason=reason, subject=one.subject
    )
    answer = await send(session, run, decision, Answer)
    how = f"said by {answer.by}; it needs {answer.needs}" if answer.needs else f"decided by {answer.by}"
    console.print(f"{one.id}: {answer.choice}, {how}", markup=False)


def _meant(asked: "list[OpenQuestion]", question: str | None) -> "OpenQuestion":
    fitting = [one for one in asked if question in {None, one.id}]
    if len(fitting) == 1:
        return fitting[0]
    waiting = ", ".join(one.id for one in asked) or "none"
    problem = "say which with --question" if fitting else "nothing like that is asked"
    raise Stop(Exit.USAGE, f"question: {problem}. Open questions: {waiting}")
