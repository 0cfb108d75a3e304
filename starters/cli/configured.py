"""The command line's settings."""

import os
import sys
from pathlib import Path

from workers import settings as settings_module
from workers.settings import Settings

_SANDBOX = Path("var/sandbox")


def load_settings() -> Settings:
    """Read the settings; those of this tree's sandbox where nothing else is configured, and says so.

    Raises:
        SettingsError: settings are missing or wrong.

    """
    sandbox = _SANDBOX / "runbooks.toml"
    if "RUNBOOKS_CONFIG" not in os.environ and not settings_module.config_file().is_file() and sandbox.is_file():
        sys.stderr.write(f"using the sandbox's settings: {sandbox}\n")
        os.environ["RUNBOOKS_CONFIG"] = str(sandbox)
        os.environ.setdefault("RUNBOOKS_GATEWAY__PRIVATE_KEY", f"file:{_SANDBOX / 'gateway.pem'}")
    return settings_module.load()
