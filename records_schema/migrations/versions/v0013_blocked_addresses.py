"""Addresses that security incidents block, each a hold with an end or for good."""

from records_schema.migrations.sql import run_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
