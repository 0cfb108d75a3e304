"""`runbooks keys`: the gateway's keys."""

import base64
import os
from pathlib import Path
from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json
from starters.cli.people import Exit, Stop, command

app = group("The gateway's keys, which sign people's words.")


@app.callback()
def _group() -> None:
    """Make this a group of commands, though it has one."""


@app.command("generate")
@command
async def generate(
    private: Annotated[Path, typer.Option(help="Where the private key goes; never overwritten.")] = Path("gateway.pem"),
    *,
    as_json: Json = False,
) -> None:
    """Make an Ed25519 pair: the private key into a file only you can read, the public one printed.

    Example: runbooks keys generate --private gateway.pem
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    from starters.cli.facts import result

    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{private}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    result(public, as_json=as_json, public_key=public, private_key=private.resolve())
    typer.echo(f'workers:  [approvals] public_keys = ["{public}"]', err=True)
    typer.echo(f'gateway:  [gateway] private_key = "file:{private.resolve()}"', err=True)
