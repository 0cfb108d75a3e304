"""The pulse's warnings, pictures beside messages, what tenants pay, and the reports of each day."""

from records_schema.migrations.sql import run_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
