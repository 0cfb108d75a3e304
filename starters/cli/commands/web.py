"""`runbooks web`: serves the operators' page."""

from typing import Annotated

import typer

from starters.cli.people import command, console


@command
async def web(
    *,
    people: Annotated[
        list[str] | None,
        typer.Option(
            "--link",
            metavar="WHO:ROLE",
            help="Writes a one-time link for somebody, e.g. bo:commander; any number. Without the identity provider.",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Instead of `[web] port`.")] = None,
) -> None:
    """Serve the operators' page (settings `[web]`), and the public status page under /status/.

    Example: runbooks web --link bo:commander
    """
    import getpass

    from starters.cli.configured import load_settings
    from starters.steering.errors import WrongInput
    from starters.steering.identity import DEFAULT_ROLE, Person
    from starters.web.serving import serve

    asked = people or [f"{getpass.getuser()}:{DEFAULT_ROLE}"]
    speakers = []
    for one in asked:
        who, _, role = one.rpartition(":")
        if not who.strip() or not role.strip():
            raise WrongInput("--link: expected WHO:ROLE, e.g. bo:commander")
        speakers.append(Person(who.strip(), role.strip()))
    await serve(load_settings(), speakers, port, lambda line: console.print(line, markup=False, soft_wrap=True))
