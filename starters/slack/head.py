"""The first message of a run's thread: what is going on, who has it, what waits; updated in place."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from audit.signatures import canonical
from audit.text import moment, titled
from starters.slack import limits, offers
from starters.slack.limits import Block, mrkdwn
from starters.steering.ending import Ending
from workflows.platform.approval import OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.run_status import RunStatus

_ASKED, _SAID, _CLOCKS = 8, 4, 6
"""How many questions, words and clocks are shown; Temporal's UI has all."""

_LINE, _PARAGRAPH, _ADDRESS = 400, 1500, 1500
_SAFE = ":/?&=%#@+,;~-._"


@dataclass(frozen=True)
class Said:
    """A message: its blocks, and the text that notifications show."""

    text: str
    blocks: list[Block]

    @property
    def digest(self) -> str:
        """What tells whether a message shows this already."""
        return hashlib.sha256(canonical([self.text, self.blocks])).hexdigest()


def head(run: tuple[str, str], status: RunStatus, link: str, ending: Ending | None = None) -> Said:
    """Show a run; `run` is workflow ID and run ID, `ending` how it ended."""
    name = status.incident_id or run[0]
    title = titled(status.severity, status.title or status.procedure)
    over = ending is not None
    blocks = [limits.header(title), limits.fields([*_facts(status, ending)])]
    if status.clocks:
        blocks.append(limits.section("\n".join(_clock(clock) for clock in status.clocks[:_CLOCKS])))
    if status.board:
        blocks.append(limits.section(mrkdwn(status.board.replace("**", ""), _PARAGRAPH)))
    if not over:
        for question in status.questions[:_ASKED]:
            blocks += _asked(run, question)
        blocks += limits.actions(offers.meanwhile(run, status))
    if said := [*_said(status)]:
        blocks.append(limits.section("\n".join(said)))
    blocks.append(limits.context(f"{_link(link)} · `{mrkdwn(name, 200)}`{' · plan only' if status.dry_run else ''}"))
    text = mrkdwn(f"{title}: {ending.how if ending else status.waiting_for or status.phase}", _LINE)
    return Said(text, limits.message(blocks))


def asked(question: OpenQuestion) -> str:
    """Say into the thread that a person is needed; the buttons are at the thread's first message."""
    choices = ", ".join(f"`{mrkdwn(choice, 100)}`" for choice in question.options)
    return f":question: *{mrkdwn(question.title, _PARAGRAPH)}*\n{choices} — answer above, where the buttons are."


def ended(ending: Ending) -> str:
    """Say into the thread how the run ended."""
    by = f", by {mrkdwn(ending.by, 200)}" if ending.by else ""
    why = f": {mrkdwn(ending.why, _PARAGRAPH)}" if ending.why else ""
    return f":checkered_flag: {mrkdwn(ending.how, 200)}{by}{why}"


def _facts(status: RunStatus, ending: Ending | None) -> Iterator[str]:
    if ending is not None:
        by = f" by {mrkdwn(ending.by, 200)}" if ending.by else ""
        yield f"*Ended*\n{mrkdwn(ending.how, 200)}{by}"
    else:
        yield f"*Phase*\n{mrkdwn(status.phase, 200) or 'begins'}"
        yield f"*Waits for*\n{mrkdwn(status.waiting_for, 200) or 'nobody'}"
    if status.service:
        yield f"*Service*\n{mrkdwn(status.service, 200)}"
    yield f"*Since*\n{limits.date(status.started_at.timestamp(), moment(status.started_at))}"


def _clock(clock: Clock) -> str:
    name, due = mrkdwn(clock.name, 100), limits.date(clock.due_at.timestamp(), moment(clock.due_at))
    if clock.met_at is not None:
        return f":white_check_mark: {name} {limits.date(clock.met_at.timestamp(), moment(clock.met_at))}"
    return f"{':rotating_light:' if clock.missed else ':hourglass:'} {name} due {due}"


def _asked(run: tuple[str, str], question: OpenQuestion) -> list[Block]:
    lines = [f":question: *{mrkdwn(question.title, 800)}*"]
    for choice, does in question.options.items():
        marked = " _(recommended)_" if choice == question.recommended else ""
        lines.append(f"• `{mrkdwn(choice, 100)}`: {mrkdwn(does, 300)}{marked}")
    lines.append(mrkdwn(offers.waits(question), _LINE))
    buttons = offers.answers(run, question)[: limits.ACTIONS]
    blocks = [limits.section("\n".join(lines)), *limits.actions(buttons)]
    if len(buttons) < len(question.options):
        blocks.append(limits.context("Some choices have no button here: `runbooks approve` takes them all."))
    return blocks


def _said(status: RunStatus) -> Iterator[str]:
    """Give what people have said last, so that who answered stands where the buttons were."""
    said = [entry for entry in status.entries if entry.kind == "decision" and not entry.text.startswith("Asked: ")]
    for entry in said[-_SAID:]:
        who = f" — {mrkdwn(entry.who, 200)}" if entry.who else ""
        yield f":ballot_box_with_check: {mrkdwn(entry.text, _LINE)}{who}"


def _link(link: str) -> str:
    """Give the address as Slack takes one: of our own settings and names, with nothing in it that ends it."""
    address = mrkdwn(quote(link, safe=_SAFE), limits.FIELD)
    return f"<{address}|Temporal UI>" if limits.size(address) <= _ADDRESS else "Temporal UI"
