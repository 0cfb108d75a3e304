"""Security incidents, apart from the others: who may read those may not read these."""

from records_schema.migrations.sql import run_beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
