"""Pages that a certificate authority looks for (HTTP-01)."""

from records_schema.migrations.sql import run_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
