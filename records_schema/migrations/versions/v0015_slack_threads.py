"""Which message of Slack is a run's, and how many it has."""

from records_schema.migrations.sql import run_beside

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
