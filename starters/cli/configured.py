"""The command line's settings; where there are none, those of a sandbox or demo that runs on this machine."""

import os
import socket
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from audit.text import counted
from starters.cli.people import complaints
from starters.cli.quiet import hint
from workers import settings as settings_module
from workers.settings import Settings, SettingsError

_KINDS = ("sandbox", "demo")
_STATE = "state.json"
_OURS = Path(__file__).parents[2]
_ANSWERS_WITHIN_SECONDS = 0.3


def load_settings() -> Settings:
    """Read the settings; what is secret in them is read where it is used, so a laptop needs none of it.

    Raises:
        SettingsError: settings are missing or wrong.

    """
    _or_what_runs_here()
    return settings_module.load(secrets=())


def check(*, routed: bool) -> Settings:
    """Read the settings, and the webhook's rules where asked, say that they are fine, and give them.

    Raises:
        SettingsError: names every fault, with its line.

    """
    from starters.steering import configuration  # noqa: PLC0415 # with all procedures, which no other command needs

    _or_what_runs_here()
    settings, rules = configuration.load(routed=routed)
    told = [counted(len(settings.services), "service"), counted(len(settings.databases), "database")]
    told += [counted(len(rules.route), "rule")] if rules is not None else []
    complaints.print(f"{settings_module.config_file()}: {', '.join(told)}, fine", markup=False, soft_wrap=True)
    return settings


def running_here() -> Iterator[tuple[str, Path]]:
    """Find sandboxes and demos that run: of this folder, of those above it, and of the tree that this program is of."""
    seen = set()
    for folder in (Path.cwd(), *Path.cwd().parents, _OURS):
        for kind in _KINDS:
            place = folder / "var" / kind
            if place not in seen and _lives(place / "runbooks.toml"):
                yield kind, place
            seen.add(place)


def checkout_here() -> Path:
    """Give this folder where it has or had a sandbox or demo; else that of the one which commands use from here."""
    here = Path.cwd()
    if any((here / "var" / kind / _STATE).exists() for kind in _KINDS):
        return here
    found = next(running_here(), None)
    return found[1].parents[1] if found else here


def _or_what_runs_here() -> None:
    if _configured():
        return
    found = next(running_here(), None)
    if found is None:
        raise SettingsError(
            f"no settings: set RUNBOOKS_CONFIG, or go where there is a {settings_module.config_file()}; "
            "no sandbox runs here either (`make sandbox` starts one)"
        )
    kind, place = found
    hint(f"using the {kind}'s settings: {_shortest(place / 'runbooks.toml')}")
    os.environ["RUNBOOKS_CONFIG"] = str(place / "runbooks.toml")
    os.environ.setdefault("RUNBOOKS_GATEWAY__PRIVATE_KEY", f"file:{place / 'gateway.pem'}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # its AWS takes any, but boto3 asks nobody without
        os.environ.setdefault(name, kind)


def _configured() -> bool:
    """Tell whether somebody has said anything: a file, a variable of ours, or one of Temporal's profiles."""
    ours = any(name == "RUNBOOKS_CONFIG" or (name.startswith("RUNBOOKS_") and "__" in name) for name in os.environ)
    theirs = any(name in os.environ for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"))
    return ours or theirs or settings_module.config_file().is_file()


def _lives(file: Path) -> bool:
    """Tell whether a sandbox's Temporal answers; its files outlive it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        host, _, port = str(tomllib.loads(file.read_text(encoding="utf-8"))["temporal"]["address"]).rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_SECONDS):
            return True
    return False


def _shortest(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
