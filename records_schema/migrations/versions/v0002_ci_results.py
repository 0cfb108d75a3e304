"""CI results: what a release asks before it goes out."""

from records_schema.migrations.sql import run_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
