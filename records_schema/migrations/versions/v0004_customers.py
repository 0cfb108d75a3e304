"""Customers: tenants, their users and API keys, usage, tickets, interventions, mail."""

from records_schema.migrations.sql import run_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
