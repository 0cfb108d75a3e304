"""Searches of the archive by a service or a tenant, and the part of the chain that a span of time is."""

from records_schema.migrations.sql import run_beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
