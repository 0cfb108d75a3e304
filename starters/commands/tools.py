"""`runbooks catalogue | keys | routes | sandbox`: what isn't about one run."""

import base64
import json
import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich import box
from rich.table import Table

from starters import catalogue as entries_of
from starters.problem import Problem
from starters.session import console, explained, settings
from starters.webhook import routes as routing


class Format(StrEnum):
    """How the catalogue is printed."""

    TABLE = "table"
    JSON = "json"


def catalogue(
    format_: Annotated[Format, typer.Option("--format", help="json: for programs.")] = Format.TABLE,
) -> None:
    """List all procedures, with their inputs and links to the UI's start form."""

    def show() -> None:
        entries = entries_of.entries(settings().temporal)
        if format_ is Format.JSON:
            sys.stdout.write(json.dumps([e.model_dump(mode="json", by_alias=True) for e in entries], indent=2) + "\n")
            return
        table = Table("section", "procedure", "title", "fields", box=box.SIMPLE_HEAD)
        for entry in entries:
            fields = ", ".join(entry.input_schema.get("properties", {}))
            table.add_row(entry.section, f"[link={entry.start_url}]{entry.procedure}[/]", entry.title, fields)
        console.print(table)

    explained(show)


def keys_generate(
    out: Annotated[Path, typer.Option("--out", help="New file for the private key, readable by you only.")],
) -> None:
    """Make the gateway's key pair: the private key into a file, the public key on the screen for the workers."""

    def make() -> None:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            message = f"--out {out}: {error.strerror}"
            raise Problem(message) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        console.print(f'[approvals]\npublic_keys = ["{public}"]', markup=False)

    explained(make)


def routes_check() -> None:
    """Check the webhook's routing rules against the procedures and the service catalogue."""

    def check() -> None:
        loaded = settings()
        file = loaded.path(loaded.webhook.routes)
        rules = routing.load(file, loaded.services)
        console.print(f"{file}: {len(rules.route)} rules, all fine")

    explained(check)


class SandboxCommand(StrEnum):
    """What to do with the sandbox."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"


def sandbox(command: SandboxCommand) -> None:
    """Start, stop or show the embedded environment of real servers."""
    # A process of its own: the sandbox stands above the starters, and isn't installed everywhere they are.
    command_line = [sys.executable, "-m", "sandbox", command.value]
    raise typer.Exit(subprocess.run(command_line, check=False).returncode)  # noqa: S603  our own words
