"""Groups of commands, made alike."""

from typing import Any

import typer


def group(help_text: str, **options: Any) -> typer.Typer:
    """Make a group; its help is plain text, since what draws boxes takes longer to import than all the rest."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None, **options)
