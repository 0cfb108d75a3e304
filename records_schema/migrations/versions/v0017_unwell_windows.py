"""A window that ended unwell goes on showing until something newer says how its component is."""

from records_schema.migrations.sql import run_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply the SQL beside this file."""
    run_beside(__file__)
