"""Maintenance windows, and what the public page says of them."""

from records_schema.migrations.sql import run_beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
