"""Verdicts of backups: which one was checked when, and whether it was good."""

from records_schema.migrations.sql import run_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
