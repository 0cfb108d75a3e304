"""What a component of our own status page shows, out of all that is open."""

from records_schema.migrations.sql import run_beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
