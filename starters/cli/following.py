"""Follows a run where nobody looks at a screen: its timeline and its questions as lines, until it ends."""

import asyncio

from rich.console import Console

from audit.text import alternatives
from starters.cli.spans import clock_time
from starters.steering import runs
from starters.steering.actions import actions
from starters.steering.listing import until
from starters.steering.runs import Run
from starters.steering.session import Session
from workflows.platform.run_status import RunStatus

_EVERY_SECONDS = 1.0


async def follow(session: Session, run: Run, out: Console) -> None:
    """Say each entry once, and each question with the commands that answer it."""
    said, asked = 0, set[str]()
    waited = ""
    while True:
        run = await runs.again(session, run)
        status = await runs.told(run)
        if status is not None:
            for entry in status.entries[said:]:
                section = f"{entry.section} " if entry.section else ""
                who = f" — {entry.who}" if entry.who else ""
                out.print(f"{entry.at.astimezone():%H:%M:%S} {section}{entry.text}{who}", markup=False, soft_wrap=True)
            said = max(said, len(status.entries))
            if run.running:
                asked |= _ask(session, run, status, asked, out)
                if status.waiting_for != waited and not status.questions:
                    waited = status.waiting_for
                    if waited:
                        _commands(session, run, status, out)
        if not run.running:
            return
        await asyncio.sleep(_EVERY_SECONDS)


def _ask(session: Session, run: Run, status: RunStatus, asked: set[str], out: Console) -> set[str]:
    new = [question for question in status.questions if question.id not in asked]
    for question in new:
        whom = alternatives(question.roles)
        sentence = f"waits for {whom} to decide {question.id} until {clock_time(until(question))}: {question.title}"
        out.print(sentence, markup=False, soft_wrap=True)
    if new:
        _commands(session, run, status, out)
    return {question.id for question in new}


def _commands(session: Session, run: Run, status: RunStatus, out: Console) -> None:
    for action in actions(status, run=status.incident_id or run.workflow_id, settings=session.settings):
        out.print(f"  {action.command}   {action.does}", markup=False, soft_wrap=True)
