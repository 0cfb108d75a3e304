"""Alerts, incidents, deployments, pages, status page, chat, on-call, audit log: what an incident needs."""

from records_schema.migrations.sql import run_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
