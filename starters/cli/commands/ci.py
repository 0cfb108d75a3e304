"""`runbooks ci`: tell the records whether the tests of a version passed."""

from enum import StrEnum
from typing import Annotated

import typer

from starters.cli.options import Json, Who
from starters.cli.people import Exit, Stop, command
from starters.cli.speaker import person


class Verdict(StrEnum):
    """What CI says."""

    PASSED = "passed"
    FAILED = "failed"
    RUNNING = "running"


@command
async def ci(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As a deployment will name it.")],
    *,
    status: Annotated[Verdict, typer.Option(help="The newest one of a version counts.")],
    service: Annotated[str | None, typer.Option(help="The only service of the catalogue otherwise.")] = None,
    detail: Annotated[str, typer.Option(help="What failed, or still runs.")] = "",
    url: Annotated[str, typer.Option(help="Where to read more, http(s).")] = "",
    as_json: Json = False,
    who: Who = None,
) -> None:
    """Report the tests of a version, as a step of CI; a deployment asks for them before it begins.

    Example: runbooks ci v1.2.5 --status passed
    """
    from activities.catalogue.lookup import Catalogue, ResolveService
    from activities.common.errors import UnknownService
    from records_schema.ci_results import report
    from records_schema.server import DatabaseError
    from starters.cli.configured import load_settings
    from starters.cli.facts import result

    settings = load_settings()
    if settings.ci.backend != "records":
        raise Stop(Exit.USAGE, f"ci.backend is {settings.ci.backend}: deployments ask there, and not the records")
    if not version.strip():
        raise Stop(Exit.USAGE, "VERSION: is empty: give the version that was tested")
    if url and not url.startswith(("https://", "http://")):
        raise Stop(Exit.USAGE, "--url: expected http(s)://…")
    try:
        known = Catalogue(settings.services, settings.approvals).resolve(ResolveService(service=service)).service
    except UnknownService as error:
        raise Stop(Exit.USAGE, error.message) from None
    reporter = person(who, None).who
    try:
        report(
            settings.records.url,
            service=known.name,
            version=version,
            verdict=status.value,
            detail=detail,
            link=url,
            reported_by=reporter,
        )
    except DatabaseError as error:
        raise Stop(Exit.UNREACHABLE, str(error)) from None
    result(
        f"{known.name} {version}: {status.value}, reported by {reporter}",
        as_json=as_json,
        service=known.name,
        version=version,
        status=status.value,
        reported_by=reporter,
    )
