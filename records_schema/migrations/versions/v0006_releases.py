"""Which release a deployment record is about, beside what it is called."""

from records_schema.migrations.sql import run_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
