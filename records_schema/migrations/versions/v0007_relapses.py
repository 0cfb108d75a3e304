"""Mitigations that did not hold."""

from records_schema.migrations.sql import run_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
