"""The command line's settings."""

import os
import sys
from pathlib import Path

from audit.text import counted
from starters.cli.people import console
from workers import settings as settings_module
from workers.settings import Settings

_SANDBOX = Path("var/sandbox")


def load_settings() -> Settings:
    """Read the settings; those of this tree's sandbox where nothing else is configured, and says so.

    Raises:
        SettingsError: settings are missing or wrong.

    """
    _or_sandbox()
    return settings_module.load()


def check(*, routed: bool) -> None:
    """Read the settings, and the webhook's rules where asked, and say that they are fine.

    Raises:
        SettingsError: names every fault, with its line.

    """
    from starters.steering import configuration  # noqa: PLC0415 # with all procedures, which no other command needs

    _or_sandbox()
    settings, rules = configuration.load(routed=routed)
    told = [counted(len(settings.services), "service"), counted(len(settings.databases), "database")]
    told += [counted(len(rules.route), "rule")] if rules is not None else []
    console.print(f"{settings_module.config_file()}: {', '.join(told)}, fine", markup=False, soft_wrap=True)


def _or_sandbox() -> None:
    sandbox = _SANDBOX / "runbooks.toml"
    if "RUNBOOKS_CONFIG" not in os.environ and not settings_module.config_file().is_file() and sandbox.is_file():
        sys.stderr.write(f"using the sandbox's settings: {sandbox}\n")
        os.environ["RUNBOOKS_CONFIG"] = str(sandbox)
        os.environ.setdefault("RUNBOOKS_GATEWAY__PRIVATE_KEY", f"file:{_SANDBOX / 'gateway.pem'}")
