"""What is open, for people and for scripts: `runbooks list`."""

import json
from datetime import UTC, datetime

from rich.text import Text

from audit.text import alternatives, counted, titled
from starters.cli.configured import load_settings
from starters.cli.lists import Item, joined, laid_out, line
from starters.cli.people import complaints, console
from starters.cli.spans import ago, clock_time, span
from starters.steering.errors import WrongInput
from starters.steering.identity import Person
from starters.steering.listing import Listed, Wanted, listed
from starters.steering.session import open_session
from starters.steering.times import since as read_since
from workers.registry import Procedure, procedure

_HEADS = ("run", "what", "service", "phase", "waits for", "clock", "since")
_STATES = {"completed": "green", "failed": "red", "terminated": "red", "timed out": "red", "canceled": "yellow"}


async def show(
    *,
    service: str | None,
    named: str | None,
    waiting: bool,
    mine: Person | None,
    since: str | None,
    closed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, the open ones first.

    Raises:
        SteeringError: what was typed can't be meant, or Temporal does not answer.

    """
    wanted = Wanted(
        service=service or "",
        procedure=_procedure(named),
        waiting=waiting,
        mine=mine,
        since=read_since("--since", since),
        closed=closed,
        limit=limit,
    )
    session = await open_session(load_settings())
    rows = await listed(session, wanted)
    if as_json:
        console.file.write(json.dumps([row.model_dump(mode="json") for row in rows], indent=2, ensure_ascii=False))
        console.file.write("\n")
        return
    if not rows:
        console.print(_nothing(wanted), style="dim", markup=False)
        if service and service not in (known := session.settings.services) and known:
            complaints.print(f"no service {service!r} in the settings: {', '.join(known)}", markup=False)
        return
    now = datetime.now(UTC)
    console.print(laid_out(_HEADS, (_item(row, now) for row in rows), console))
    mute = sum(not row.answers for row in rows)
    if mute:
        complaints.print(f"no worker answers for {counted(mute, 'run')}: what is shown may be old", style="yellow")
    if len(rows) == limit:
        complaints.print(f"the first {limit} are shown: --limit shows more", style="dim")


def _nothing(wanted: Wanted) -> str:
    if wanted.closed:
        return "no such run"
    if wanted.service or wanted.procedure or wanted.waiting or wanted.mine or wanted.since:
        return "nothing of that is open; `runbooks list` shows all that is, --all also what has ended"
    return "nothing is open; --all shows what has ended"


def _procedure(named: str | None) -> Procedure | None:
    try:
        return procedure(named) if named else None
    except KeyError as error:
        raise WrongInput(f"--procedure: {error.args[0]}") from None


def _item(row: Listed, now: datetime) -> Item:
    title = Text(titled(row.severity, row.title or row.procedure))
    plan = Text("plan", style="cyan") if row.dry_run else Text()
    name = Text(row.name, style="bold")
    what = joined(title, plan)
    return Item(
        cells=(
            name,
            what,
            Text(row.service),
            _stand(row),
            joined(*_waits(row, now), between=", "),
            _clock(row, now),
            _since(row, now),
        ),
        name=joined(name, title, plan, between="  "),
        lines=(
            line(row.service, _stand(row), _clock(row, now), _since(row, now)),
            line(*_waits(row, now), between=", "),
            Text(row.workflow_id if row.workflow_id != row.name else "", style="dim"),
        ),
    )


def _stand(row: Listed) -> Text:
    if row.state == "running":
        return Text(row.phase or "beginning")
    # Temporal spells it with one l, and everything else here with two.
    state = "cancelled" if row.state == "canceled" else row.state
    outcome = row.outcome if row.state == "completed" and row.outcome else state
    return Text(outcome, style=_STATES.get(row.state, ""))


def _waits(row: Listed, now: datetime) -> list[Text]:
    if not row.waiting_for:
        return []
    whom = alternatives(row.roles) or "somebody"
    parts = [Text(f"{whom}: {row.waiting_for}", style="bold yellow")]
    if row.waiting_since:
        parts.append(Text(f"for {span(now - row.waiting_since)}", style="yellow"))
    if row.waiting_until:
        parts.append(Text(f"until {clock_time(row.waiting_until)}", style="yellow"))
    return parts


def _clock(row: Listed, now: datetime) -> Text:
    if not row.clock_due_at:
        return Text()
    late = row.clock_missed or now > row.clock_due_at
    left = f"missed by {span(now - row.clock_due_at)}" if late else f"{span(row.clock_due_at - now)} left"
    return Text(f"{row.clock}: {left}", style="bold red" if late else "")


def _since(row: Listed, now: datetime) -> Text:
    told = f"began {ago(row.started_at, now)}"
    return Text(f"ended {ago(row.ended_at, now)}" if row.ended_at else told, style="dim")
