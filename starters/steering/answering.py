"""Which question an answer is meant for, in which role it counts, and what became of it where it comes too late."""

from audit.text import alternatives, moment
from starters.steering import runs
from starters.steering.errors import Decided, NothingAsked, Over, Refused, WrongChoice, WrongInput, WrongQuestion
from starters.steering.identity import DEFAULT_ROLE, Person
from starters.steering.runs import Run
from starters.steering.session import Session
from starters.steering.words import send
from workflows.platform.approval import EVENTS, NO_ANSWER, Answer, Decision, OpenQuestion
from workflows.platform.run_status import RunStatus


def meant(status: RunStatus, question: str | None, choice: str) -> OpenQuestion:
    """Give the open question that an answer is meant for.

    Raises:
        NothingAsked: the run asks nothing, and has asked nothing.
        Decided: it has been; says by whom, when and what.
        WrongQuestion: another is asked; names those that are.
        WrongChoice: it isn't offered; names what is.
        WrongInput: several are open, and none is named.

    """
    fitting = [one for one in status.questions if question in {None, one.id}]
    if not fitting:
        if told := decided(status, question):
            raise Decided(told)
        if not status.questions:
            raise NothingAsked("nothing is asked now")
        waiting = ", ".join(one.id for one in status.questions)
        raise WrongQuestion(f"question: nothing like that is asked. Open questions: {waiting}")
    if len(fitting) > 1:
        waiting = ", ".join(one.id for one in fitting)
        raise WrongInput(f"question: say which with --question. Open questions: {waiting}")
    (one,) = fitting
    if choice not in one.options:
        raise WrongChoice(f"choice: not offered by {one.id}. Choices: {', '.join(one.options)}")
    return one


def decided(status: RunStatus, question: str | None) -> str:
    """Say by whom, when and what a question was decided, or the last that was; empty where none was."""
    for one in reversed(status.decided):
        if question not in {None, one.question}:
            continue
        if one.by == EVENTS:
            return f"{one.question} is over: what it asked about had changed by {moment(one.at)}"
        if one.by == NO_ANSWER:
            return f"{one.question} is over: nobody had answered by {moment(one.at)}, and so {one.choice} was taken"
        because = f": {one.reason}" if one.reason else ""
        return f"{one.question} is decided: {one.choice}{because} by {one.by} at {moment(one.at)}"
    return ""


def role_for(question: OpenQuestion, said: str | None) -> str:
    """Give the role to answer in: the one that was said, else one's usual one, else the only one that may.

    Raises:
        WrongInput: several other roles may; names them.

    """
    if said or DEFAULT_ROLE in question.roles or not question.roles:
        return said or DEFAULT_ROLE
    if len(question.roles) == 1:
        return question.roles[0]
    raise WrongInput(f"{question.id}: {alternatives(question.roles)} may decide it. Say which you are with --role")


async def answer(session: Session, run: Run, question: OpenQuestion, *, choice: str, reason: str, by: Person) -> Answer:
    """Send a person's answer to a question, as it was shown.

    Raises:
        Decided: somebody was quicker; says who, when and what.
        SteeringError: it doesn't count; each reason is an error of its own.

    """
    decision = Decision(
        who=by.who, role=by.role, question=question.id, choice=choice, reason=reason, subject=question.subject
    )
    try:
        return await send(session, run, decision, Answer)
    except Over:
        raise
    except Refused as refused:
        # Somebody may have been quicker between our look and our word.
        status = await runs.told(run)
        late = status is not None and all(other.id != question.id for other in status.questions)
        if status is not None and late and (before := decided(status, question.id)):
            raise Decided(before) from refused
        raise
