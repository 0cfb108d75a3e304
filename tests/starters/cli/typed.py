"""Commands as people type them, in this process."""

from pathlib import Path

from typer.testing import CliRunner, Result

from starters.__main__ import application

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments))
