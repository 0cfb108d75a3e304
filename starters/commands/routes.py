"""`runbooks routes`: the webhook's routing rules."""

from collections.abc import Collection
from typing import Annotated

import typer
from rich.table import Table

from starters.people import Exit, Stop, command, console
from starters.session import load_settings
from starters.webhook.routes import Route, load

app = typer.Typer(help="The webhook's routing rules.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make this a group of commands, though it has one."""


@app.command("check")
@command
async def check(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL=VALUE]…", help="Say which rule takes such an alert.")
    ] = None,
) -> None:
    """Read the rules as the webhook does, and show them."""
    settings = load_settings()
    file = settings.path(settings.webhook.routes)
    rules = load(file, settings.services)
    table = Table("#", "labels", "procedure", "service", box=None)
    for number, rule in enumerate(rules.route):
        table.add_row(str(number), _matchers(rule), rule.procedure, rule.service or f"label {rule.service_label}")
    console.print(table)
    console.print(f"{file}: {len(rules.route)} rule(s), fine", markup=False, soft_wrap=True)
    if labels:
        _explain(_labels(labels), rules.route, settings.services)


def _explain(labels: dict[str, str], rules: tuple[Route, ...], services: Collection[str]) -> None:
    taking = next((number for number, rule in enumerate(rules) if rule.takes(labels)), None)
    if taking is None:
        raise Stop(Exit.REFUSED, "no rule takes such an alert: it would start nothing")
    service = rules[taking].service_of(labels, services)
    if service is None:
        known = ", ".join(services) or "none"
        raise Stop(Exit.REFUSED, f"rule {taking} takes it, but its service is not known. Known: {known}")
    console.print(f"rule {taking} takes it: {rules[taking].procedure} for {service}", markup=False)


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [label.partition("=") for label in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise Stop(Exit.USAGE, "labels: expected LABEL=VALUE")
    return {name: value for name, _, value in pairs}


def _matchers(rule: Route) -> str:
    exact = [f'{name}="{value}"' for name, value in rule.match.items()]
    return " ".join([*exact, *(f'{name}=~"{pattern.pattern}"' for name, pattern in rule.match_re.items())])
