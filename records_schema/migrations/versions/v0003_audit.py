"""The archive: the chain of evidence, its index, its heads, and who has looked at it."""

from records_schema.migrations.sql import run_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
