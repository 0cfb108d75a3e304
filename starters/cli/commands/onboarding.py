"""`runbooks onboarding`: what people say to an onboarding (runbook 5.1)."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command

app = group("Steer a customer's onboarding (5.1).")
Note = Annotated[str, typer.Option(help="What there is to know about it.")]
Why = Annotated[str, typer.Option(help="Why; for the timeline.")]
Item = Annotated[str, typer.Argument(help="The item's ID, as `runbooks status` shows it.")]


@app.command()
@command
async def tick(
    reference: Reference,
    item: Item,
    *,
    note: Note = "",
    evidence: Annotated[str, typer.Option(help="A link to what shows it.")] = "",
    not_needed: Annotated[bool, typer.Option("--not-needed", help="It does not apply; say why in --note.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take a tick back.")] = False,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Tick an item of the checklist.

    Example: runbooks onboarding tick RUN kickoff-call --note "went well"
    """
    from starters.cli.saying import say
    from workflows.customer_operations.onboarding_words import Tick

    fields = {"item": item, "note": note, "evidence": evidence, "not_needed": not_needed, "undo": undo}
    await say(reference, who, role, Tick, as_json=as_json, **fields)


@app.command()
@command
async def assign(
    reference: Reference,
    *,
    csm: Annotated[str | None, typer.Option(help="Customer success manager.")] = None,
    se: Annotated[str | None, typer.Option(help="Solutions engineer.")] = None,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Say who looks after the customer.

    Example: runbooks onboarding assign RUN --csm csm@tensafe.io
    """
    from starters.cli.saying import say
    from workflows.customer_operations.onboarding_words import Assign

    await say(reference, who, role, Assign, as_json=as_json, csm=csm, se=se)


@app.command()
@command
async def reschedule(
    reference: Reference,
    phase: Annotated[str, typer.Argument(help="kickoff, implementation, go-live or post-launch.")],
    *,
    due: Annotated[str, typer.Option(help="When it is due: 2026-03-01 12:00 Europe/Berlin.")],
    reason: Why = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Move the due date of a phase.

    Example: runbooks onboarding reschedule RUN implementation --due 2026-03-02 --reason "their holidays"
    """
    from starters.cli.saying import say
    from starters.steering import times
    from workflows.customer_operations.onboarding_words import Reschedule

    at = times.moment("--due", due, words=False)
    await say(reference, who, role, Reschedule, as_json=as_json, phase=phase, due=at, reason=reason)


@app.command()
@command
async def resend(
    reference: Reference,
    *,
    email: Annotated[str | None, typer.Option(help="To another address than before.")] = None,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Send the welcome mails again.

    Example: runbooks onboarding resend RUN --email it@acme.example
    """
    from starters.cli.saying import say
    from workflows.customer_operations.onboarding_words import Resend

    await say(reference, who, role, Resend, as_json=as_json, email=email)


@app.command()
@command
async def pause(
    reference: Reference,
    *,
    reason: Why,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Stop reminders and move what is due, until `runbooks resume`.

    Example: runbooks onboarding pause RUN --reason "contract is being changed"
    """
    from starters.cli.saying import say
    from workflows.customer_operations.onboarding_words import Pause

    await say(reference, who, role, Pause, as_json=as_json, reason=reason)


@app.command()
@command
async def stop(
    reference: Reference,
    *,
    tenant: Annotated[str, typer.Option(help="What happens to the tenant: keep, suspend or close.")],
    reason: Why,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """End the onboarding before everything is ticked.

    Example: runbooks onboarding stop RUN --tenant keep --reason "bought by another customer"
    """
    from starters.cli.saying import say
    from workflows.customer_operations.onboarding_words import StopOnboarding

    await say(reference, who, role, StopOnboarding, as_json=as_json, tenant=tenant, reason=reason)
