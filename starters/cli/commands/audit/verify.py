"""`runbooks audit verify`: whether the evidence is whole and ours."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from starters.cli.options import Json
from starters.cli.people import Exit, Stop, command


@command
async def verify(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="A file of `runbooks audit export`, or a package of compliance-audit."),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="The whole chain in the database.")] = False,
    public_key: Annotated[
        list[str] | None, typer.Option(help="Whose signatures count: a file, or base64; may be given several times.")
    ] = None,
    head: Annotated[
        list[Path] | None, typer.Option(help="A signed head kept elsewhere: the chain must reach it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle or a package, offline and without settings, or the chain in the database; names what is wrong.

    Example: runbooks audit verify --all
    """
    if (bundle is None) is not everything:
        raise Stop(Exit.USAGE, "name a BUNDLE, or say --all")
    from audit.package import is_package
    from starters.cli.audit import verifying

    keys = [verifying.key(text) for text in public_key or ()]
    heads = [verifying.head(path) for path in head or ()]
    if bundle is not None and is_package(bundle):
        if head:
            raise Stop(Exit.USAGE, "--head: a package holds no part of the chain")
        await asyncio.to_thread(verifying.package, bundle, keys, as_json=as_json)
        return
    if bundle is not None:
        verdict = await asyncio.to_thread(verifying.bundle, bundle, keys, heads)
    else:
        from starters.cli.audit.verifying_chain import chain

        verdict = await asyncio.to_thread(chain, keys, heads)
    verifying.tell(verdict, as_json=as_json)
