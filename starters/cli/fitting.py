"""Which procedure can run for which service, for people and for scripts: `runbooks services`."""

import json

from rich import box
from rich.table import Table
from rich.text import Text

from activities.catalogue.service import Service
from starters.cli.configured import load_settings
from starters.cli.people import console
from starters.steering.errors import WrongInput
from starters.steering.inputs import missing
from workers.registry import PROCEDURES


def show(named: str | None, *, as_json: bool) -> None:
    """Show it.

    Raises:
        WrongInput: there is no such service.

    """
    settings = load_settings()
    found = {name: service.model_copy(update={"name": name}) for name, service in settings.services.items()}
    if named is not None and named not in found:
        raise WrongInput(f"service: {named!r} is not in the catalogue. Known services: {', '.join(found) or 'none'}")
    chosen = {named: found[named]} if named is not None else found
    if as_json:
        console.file.write(json.dumps([_document(one) for one in chosen.values()], indent=2) + "\n")
        return
    if not chosen:
        console.print("no services in these settings: workers have them. docs/settings.md says how one is added")
        return
    for service in chosen.values():
        console.print(f"{service.name}  {service.namespace}/{service.deployment}", style="bold", markup=False)
        table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for procedure in PROCEDURES:
            lacking = missing(procedure, service)
            table.add_row(procedure.command, Text(lacking, style="yellow") if lacking else Text("ready", style="green"))
        console.print(table)


def _document(service: Service) -> dict[str, object]:
    return {
        "service": service.name,
        "procedures": {procedure.command: missing(procedure, service) or "ready" for procedure in PROCEDURES},
    }
