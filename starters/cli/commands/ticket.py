"""`runbooks ticket`: what people say to a customer issue's escalation (runbook 5.2)."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command

app = group("Steer a customer issue (5.2).")


@app.command()
@command
async def update(
    reference: Reference,
    *,
    text: Annotated[str, typer.Option(help="What the customer reads.")],
    next_within: Annotated[str | None, typer.Option(help="Until the next update: 4h, 90m, PT4H.")] = None,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Tell the customer where things stand; the promise of the next update begins anew.

    Example: runbooks ticket update RUN --text "The queue is draining." --next-within 4h
    """
    from starters.cli.saying import say
    from starters.steering import times
    from workflows.customer_operations.customer_words import UpdateCustomer

    within = times.duration("--next-within", next_within) if next_within else None
    await say(reference, who, role, UpdateCustomer, as_json=as_json, text=text, next_within=within)


@app.command()
@command
async def reassign(
    reference: Reference,
    *,
    to: Annotated[str, typer.Option(help="Who takes the ticket.")],
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Give the ticket to somebody else.

    Example: runbooks ticket reassign RUN --to grace
    """
    from starters.cli.saying import say
    from workflows.customer_operations.customer_words import Reassign

    await say(reference, who, role, Reassign, as_json=as_json, to=to)


@app.command()
@command
async def resolve(
    reference: Reference,
    *,
    resolution: Annotated[str, typer.Option(help="What the customer reads.")],
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Close the ticket, and tell the customer.

    Example: runbooks ticket resolve RUN --resolution "The queue has drained."
    """
    from starters.cli.saying import say
    from workflows.customer_operations.customer_words import Resolve

    await say(reference, who, role, Resolve, as_json=as_json, resolution=resolution)
